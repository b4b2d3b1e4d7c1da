"""A job's attempts as the report tells them: how each ended, who asked it to stop, and what a remedy changed. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from auto_loop.domain.config import Config, Json
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Attempt, Job, Outcome, StopIntent
from auto_loop.domain.paths import leaves, render_path
from auto_loop.reporting.excerpt import excerpt
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.outside import near, said

_ABSENT = "(none)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """One attempt. `tried` counts those before it and itself that were started; 0: this one never was.

    `resumed`: it went on in the folder of an earlier one, from its checkpoint. Times are unix seconds.
    """

    number: int
    tried: int
    outcome: Outcome | None
    failure: Failure | None
    cause: str
    output_dir: str
    log: str
    stop: StopIntent | None = None
    started_at: float | None = None
    ended_at: float | None = None
    resumed: bool = False
    last_line: str = ""

    @property
    def went_wrong(self) -> bool:
        """Whether it ended in a way that nobody asked for."""
        return self.outcome in (Outcome.FAILED, Outcome.LOST)


def began(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts that were started, or may yet be: one that was cancelled never ran."""
    return [one for one in attempts if one.outcome is not Outcome.CANCELLED]


def attempt_reports(job: Job, lens: Lens) -> tuple[AttemptReport, ...]:
    """Every attempt of a job, also those that never ran."""
    numbers = {one.id: place for place, one in enumerate(began(job.attempts), start=1)}
    return tuple(_reported(one, numbers.get(one.id, 0), job, lens) for one in job.attempts)


def _reported(one: Attempt, tried: int, job: Job, lens: Lens) -> AttemptReport:
    stop = one.stop
    bad = one.outcome in (Outcome.FAILED, Outcome.LOST)
    last = excerpt(one.log_tail, lens.secrets, lines=1) if bad else ()
    return AttemptReport(
        number=one.number,
        tried=tried,
        outcome=one.outcome,
        failure=one.failure,
        cause=said(one.cause, lens),
        output_dir=near(one.output_dir, lens.root),
        log=near(one.log_file, lens.root),
        stop=StopIntent(at=stop.at, cause=stop.cause, text=said(stop.text, lens), grace_s=stop.grace_s, sent=stop.sent)
        if stop
        else None,
        started_at=one.started_at,
        ended_at=one.ended_at,
        resumed=job.resumed(one),
        last_line=last[0] if last else "",
    )


def steps(before: Config, after: Config, lens: Lens) -> tuple[str, ...]:
    """What a remedy changed, as `batch_size 32 → 16`."""
    old = {render_path(place): value for place, value in leaves(before.data())}
    new = {render_path(place): value for place, value in leaves(after.data())}
    places = [place for place in dict.fromkeys([*old, *new]) if old.get(place, _ABSENT) != new.get(place, _ABSENT)]
    return tuple(
        said(f"{place} {_value(old.get(place, _ABSENT))} → {_value(new.get(place, _ABSENT))}", lens) for place in places
    )


def _value(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
