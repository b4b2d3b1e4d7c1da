"""What the driver is joined from: assembly chooses every part, the loop only uses them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.event import Event
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.job import Attempt, Job
from auto_loop.domain.slot import Slot
from auto_loop.domain.summary import Summary
from auto_loop.launch.base import Launcher, LaunchRequest
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.signals import Signals
from auto_loop.rules.model import Pack


class Observer(Protocol):
    """Whoever is told what happens: the console, a report, an alert."""

    def on_event(self, event: Event) -> None:
        """`event` has happened. An observer must not block and must not raise."""


class Meter(Protocol):
    """Reads what runs log: while it grows, and whole when a run has ended."""

    def latest(self, output_dir: str) -> tuple[int, Mapping[str, float]]:
        """The last step and the last value of each metric read so far; costs what is new."""

    def summary(self, job: Job, attempt: Attempt) -> Summary:
        """The ended run in numbers, with its series."""

    def looked_for(self, output_dir: str) -> tuple[str, ...]:
        """The files that a history was looked for in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What the loop asks of the files around it, as plain functions.

    `request_for(job, slot, attempt number, token)` builds an attempt's request, pure. `write_variant(parent's config
    file, parent's config, edits, config)` writes a next config and gives its file. `refused_by_trainer(configs)` asks
    the trainer's own config class: a fault's text for each config that it would refuse, by position. `redraw()` has the
    report drawn anew; the drawing is a child process's. `secrets` are values that nothing written may hold.
    """

    request_for: Callable[[Job, Slot, int, str], LaunchRequest]
    output_dir_of: Callable[[str, int], str]
    write_variant: Callable[[str, Config, tuple[str, ...], Config], Path]
    refused_by_trainer: Callable[[tuple[Config, ...]], Mapping[int, str]]
    log_tail: Callable[[str], str]
    redraw: Callable[[], None]
    secrets: tuple[str, ...]
    clock: Callable[[], float]
    new_token: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that the driver needs, chosen. `guardrails` are the pack's, with what the profile ignores as well."""

    study: str
    loop: int
    call: AutorunCall
    slots: tuple[Slot, ...]
    pack: Pack
    types: FieldTypes
    guardrails: Guardrails
    ledger: Ledger
    launcher: Launcher
    meter: Meter
    signals: Signals
    observers: tuple[Observer, ...]
    workshop: Workshop
