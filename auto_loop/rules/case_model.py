"""Rule cases as data: runs that are made up, and what a pack is expected to say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Config, Json
from auto_loop.rules.model import Pack


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAt:
    """A live rule that is expected to fire, and at which step if that is said."""

    rule: str
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A prediction that is expected: the value, and how far from it one may be."""

    value: float
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a case expects. None, or an empty mapping, is "nothing is said of it"; an empty tuple is "none"."""

    fires: tuple[str, ...] | None = None
    fires_first: tuple[str, ...] | None = None
    silent: tuple[str, ...] = ()
    stops: tuple[LiveAt, ...] | None = None
    warns: tuple[LiveAt, ...] | None = None
    diagnoses: tuple[str, ...] | None = None
    of: str = ""
    change: Mapping[str, Json] = field(default_factory=dict)
    predicts: Mapping[str, Aim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run made up, and what the pack is expected to say of it. `line` is where it stands in its file.

    `points` are by metric, each (step, value); what is missing is left out.
    """

    name: str
    line: int
    points: Mapping[str, tuple[tuple[int, float], ...]]
    config: Config | None = None
    log: str = ""
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """The cases of one file, and the pack that they are about."""

    pack: Pack
    cases: tuple[Case, ...]
