"""Predicted against measured: what a pack's laws expected of a changed config, and what its runs came to. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from auto_loop.domain.config import Json
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job, JobId, JobState, Outcome
from auto_loop.domain.summary import Summary
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.runs import Runs

HIT_NATS = 1.0
"""A prediction is a hit within one nat, a factor of e either way. The laws take a cost as constant that training moves,
so a factor of two or three is as good as they promise; and the metrics that they foresee have bands of decades."""


# The key under which evidence names what a computed edit aims at.
PREDICTS = "predicts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What was predicted of a child's metric, and the median of the last values of its runs that trained to the end.

    `log_of` is the metric whose natural logarithm this one is, "" for any other; `aimed`, that the change was computed
    to reach it. `measured` is None while no run has ended well; `waits` says that one still may.
    """

    child: JobId
    metric: str
    predicted: float
    measured: float | None
    runs: int
    waits: bool
    log_of: str = ""
    aimed: bool = False

    @property
    def difference(self) -> float | None:
        """Measured minus predicted, in the metric's unit."""
        return None if self.measured is None else self.measured - self.predicted

    @property
    def nats(self) -> float | None:
        """How far off, in nats; None where it is not measured, or no logarithm of the two can be taken."""
        if self.measured is None:
            return None
        if self.log_of:
            return self.difference
        if self.measured <= 0 or self.predicted <= 0:
            return None
        return math.log(self.measured) - math.log(self.predicted)

    @property
    def hit(self) -> bool | None:
        """Whether it came out within a factor of e; None where that cannot be said."""
        return None if self.nats is None else abs(self.nats) <= HIT_NATS


def foreseen(
    records: Iterable[ProposalRecord], summaries: Mapping[JobId, Summary], runs: Runs, lens: Lens
) -> dict[JobId, tuple[Foreseen, ...]]:
    """The predictions of all proposals that became jobs, by job."""
    return {
        record.child: tuple(
            _one(record, metric, value, summaries, runs, lens) for metric, value in record.predictions.items()
        )
        for record in records
        if record.child is not None and record.predictions
    }


def _one(  # what was predicted, and the three places where its outcome is looked up
    record: ProposalRecord, metric: str, predicted: float, summaries: Mapping[JobId, Summary], runs: Runs, lens: Lens
) -> Foreseen:
    child = record.child or JobId(0)
    cell = runs.cells.get(runs.lead_of.get(child, child))
    log_of = lens.logs.get(lens.canonical(metric), "")
    jobs: tuple[Job, ...] = cell.jobs if cell else ()
    last = [_last(summaries.get(job.id), metric, lens) for job in jobs if job.outcome is Outcome.SUCCEEDED]
    known = [value for value in last if value is not None and math.isfinite(value)]
    return Foreseen(
        child=child,
        metric=metric,
        predicted=predicted,
        measured=median(known) if known else None,
        runs=len(known),
        waits=not known and any(job.state is not JobState.DONE for job in jobs),
        log_of=log_of,
        aimed=any(str(name) in (metric, log_of) for name in _aims(record)),
    )


def _aims(record: ProposalRecord) -> Iterable[Json]:
    """The metrics that the change's values were computed for."""
    aims = record.proposal.evidence.get(PREDICTS)
    return aims if isinstance(aims, list | dict) else [aims] if aims else []


def _last(summary: Summary | None, metric: str, lens: Lens) -> float | None:
    stats = lens.metric(summary.metrics, metric) if summary else None
    return stats.last if stats else None
