"""What the driver is joined from: assembly chooses every part, the loop only uses them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Config, FieldTypes, Json
from auto_loop.domain.event import Event
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.job import Attempt, Job
from auto_loop.domain.paths import Path as ConfigPath
from auto_loop.domain.slot import Blocked, Slot
from auto_loop.domain.summary import Summary
from auto_loop.launch.base import Launcher, LaunchRequest
from auto_loop.launch.gate import Pass
from auto_loop.launch.profile import FailurePattern
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.live import Fired
from auto_loop.loop.signals import Signals
from auto_loop.loop.tried import Tried
from auto_loop.rules.model import Pack


class Observer(Protocol):
    """Whoever is told what happens: the console, a report, an alert."""

    def on_event(self, event: Event) -> None:
        """`event` has happened. An observer must not block and must not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """How far a run's metrics were read: the last step, the newest value of each, and how many points in all."""

    step: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look at a run: how far it is, the live rule that says to end it, and those that only warn."""

    latest: Latest
    verdict: Fired | None = None
    warnings: tuple[Fired, ...] = ()


class Meter(Protocol):
    """Reads what runs log: while it grows, and whole when a run has ended."""

    def look(self, job: Job, attempt: Attempt) -> Look:
        """How far a running attempt is, and what live rules say of it; costs what is new."""

    def latest(self, output_dir: str) -> Latest:
        """What was logged so far; costs what is new."""

    def summary(self, job: Job, attempt: Attempt) -> Summary:
        """The ended run in numbers, with its series."""

    def looked_for(self, output_dir: str) -> tuple[str, ...]:
        """The files that a history was looked for in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What an attempt is to be: which one of which job, on which slot, with which locks to hold."""

    job: Job
    slot: Slot
    number: int
    token: str
    entry: Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An attempt's launch as a value.

    `resume_from` is the checkpoint's config that it goes on from, if it does; `warm_from` the other job's checkpoint
    that it starts from, and `not_warm` says why it starts fresh where it should have been warm.
    """

    request: LaunchRequest
    output_dir: str
    resume_from: str = ""
    warm_from: str = ""
    not_warm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What the loop asks of the files and the machine around it, as plain functions.

    `order(ticket)` builds an attempt's request; it looks for a checkpoint to go on from. `admit(slots, ours)` asks
    which free slots may take a job, `ours` being the UUIDs that the loop's attempts hold; `gpu_lost(UUID)` whether a
    GPU does not answer any more. `room()` says why nothing should be launched for want of room on a disk, "" when there
    is enough. `write_variant(parent's config file, parent's config, edits, config)` writes a next config and gives
    its file. `refused_by_trainer(configs)` asks the trainer's own config class: a fault's text for each that it would
    refuse, by position. `redraw()` has the report drawn anew; the drawing is a child process's. `secrets` are values
    that nothing written may hold.
    """

    order: Callable[[Ticket], Order]
    admit: Callable[[Sequence[Slot], frozenset[str]], Mapping[int, Pass | Blocked]]
    gpu_lost: Callable[[str], bool]
    room: Callable[[], str]
    output_dir_of: Callable[[str, int], str]
    write_variant: Callable[[str, Config, tuple[str, ...], Config], Path]
    refused_by_trainer: Callable[[tuple[Config, ...]], Mapping[int, str]]
    log_tail: Callable[[str], str]
    log_bytes: Callable[[str], int]
    redraw: Callable[[], None]
    secrets: tuple[str, ...]
    clock: Callable[[], float]
    new_token: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that the driver needs, chosen.

    `guardrails` are the pack's, with what the profile ignores as well; `failures` the profile's patterns. `rulebook` is
    all that decisions are made by beside the runs, as plain JSON. `seed` is where a config holds its seed, None where
    the trainer has none; `paired` says that two configs under one seed see the same streams. `since` is when this call
    began, in unix s.
    """

    study: str
    loop: int
    call: AutorunCall
    slots: tuple[Slot, ...]
    pack: Pack
    types: FieldTypes
    guardrails: Guardrails
    failures: tuple[FailurePattern, ...]
    rulebook: Mapping[str, Json]
    seed: ConfigPath | None
    paired: bool
    ledger: Ledger
    tried: Tried
    launcher: Launcher
    meter: Meter
    signals: Signals
    observers: tuple[Observer, ...]
    workshop: Workshop
    since: float
