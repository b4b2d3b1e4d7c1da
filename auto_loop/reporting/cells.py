"""A round's cells as the report tells them, and the confirmations on fresh seeds. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auto_loop.domain.decision import DecisionKind
from auto_loop.domain.effect import Effect, Finding, mean_and_sd
from auto_loop.domain.history import History
from auto_loop.domain.job import JobId, Outcome
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.runs import Runs, seen_in


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReport:
    """A config with its runs of one round, those on fresh seeds aside.

    `lead` speaks for it; of repeats that came in a later round than their config's first job it is the first of them.
    `mean` and `sd` (n − 1) are of the objective over `n` runs that trained to the end, None without one, or without
    two. `effect` is against `base`, at the level of screening: no claim. `difference` is the same of single runs.
    """

    lead: JobReport
    jobs: tuple[JobReport, ...]
    n: int = 0
    mean: float | None = None
    sd: float | None = None
    base: JobId | None = None
    effect: Effect | None = None
    difference: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationReport:
    """A promising winner run again beside the base, on `seeds` that no choice had seen; the study's `number`-th.

    `screened` is the effect that made it promising, `effect` what the fresh seeds showed, None while they run.
    """

    loop: int
    round: int
    number: int
    candidate: JobId
    base: JobId
    seeds: tuple[int, ...]
    jobs: tuple[JobReport, ...]
    screened: Effect
    effect: Effect | None

    @property
    def is_better(self) -> bool:
        """Whether the winner may be called better than the base."""
        return self.effect is not None and self.effect.finding is Finding.BETTER


def cells_of_round(jobs: Sequence[JobReport], runs: Runs) -> tuple[CellReport, ...]:
    """The round's jobs by their configs, in order of their first jobs; a job that has no others makes one alone."""
    groups: dict[JobId, list[JobReport]] = {}
    for job in jobs:
        if not job.fresh:
            groups.setdefault(job.cell, []).append(job)
    return tuple(_cell(members, runs) for members in groups.values())


def _cell(jobs: list[JobReport], runs: Runs) -> CellReport:
    lead = jobs[0]
    cell, base = runs.cells.get(lead.cell), runs.base(lead.loop, lead.round)
    ended = (job.id for job in jobs if job.outcome is Outcome.SUCCEEDED)
    values = [runs.values[job] for job in ended if job in runs.values]
    mean, sd = mean_and_sd(values) if values else (None, None)
    against = base.lead.id if base is not None and base.lead.id != lead.cell else None
    single = runs.values.get(against) if against is not None and base is not None and base.succeeded else None
    effect = runs.screened(cell, lead.round) if cell is not None and against is not None else None
    comparable = effect is None and mean is not None and single is not None and lead.warm_from is None
    return CellReport(
        lead=lead,
        jobs=tuple(jobs),
        n=len(values),
        mean=mean,
        sd=sd if len(values) > 1 else None,
        base=against,
        effect=effect,
        difference=mean - single if comparable and mean is not None and single is not None else None,
    )


def furthest(cells: Iterable[CellReport], lens: Lens) -> CellReport | None:
    """The cell whose mean lies furthest in the objective's direction, the first of equals."""
    found: CellReport | None = None
    for one in cells:
        if one.mean is not None and (found is None or found.mean is None or lens.further(one.mean, found.mean)):
            found = one
    return found


def confirmations_of(history: History, jobs: Iterable[JobReport]) -> tuple[ConfirmationReport, ...]:
    """Every confirmation of a study, oldest first."""
    shown = seen_in(history, DecisionKind.CONFIRMATION)
    fresh: dict[tuple[int, int], list[JobReport]] = {}
    for job in jobs:
        if job.fresh:
            fresh.setdefault((job.loop, job.round), []).append(job)
    return tuple(
        ConfirmationReport(
            loop=loop,
            round=number,
            number=seen.number,
            candidate=seen.candidate,
            base=seen.base,
            seeds=seen.seeds,
            jobs=tuple(fresh.get((loop, number), ())),
            screened=seen.effect,
            effect=shown[loop, number].effect if (loop, number) in shown else None,
        )
        for (loop, number), seen in sorted(seen_in(history, DecisionKind.SCREENING).items())
    )
