"""Proposals: what a rule, a search, an agent or a person would change next, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from auto_loop.domain.config import Config, Json
from auto_loop.domain.job import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Edits with their reason and evidence. `changes` maps `path@op` to a value whose `str()` parses back.

    `evidence` names the readings that the reason rests on; `group` is the purpose, by which a round is kept
    diverse; `priority`: larger goes first.
    """

    changes: Mapping[str, Json]
    reason: str
    rule: str = ""
    proposer: str = "rules"
    priority: int = 0
    group: str = ""
    evidence: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A proposal that passed the panel: the config that it makes, and the edits in normal form that make it.

    `notes` say what guardrails derived or clamped. `predictions` are the values that the pack's laws expect of its
    metrics. A `repeat` changes nothing but the seed.
    """

    parent: JobId
    proposal: Proposal
    edits: tuple[str, ...]
    config: Config
    notes: tuple[str, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)
    repeat: bool = False


class Verdict(StrEnum):
    """What became of a proposal. One that is WAITING is fit to run, and waits for a slot or for a person's word."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NO_PLACE = "no place"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A proposal that was not taken, with every reason. `verdict` is REFUSED or NO_PLACE."""

    parent: JobId
    proposal: Proposal
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A finished job from which nothing was proposed, and the one cause why.

    `cause` is "no rule fired" (with the nearest rule and its value in `detail`), "no readable history" (with the
    files looked for) or "refused" (with the reasons).
    """

    parent: JobId
    cause: str
    detail: str
