"""What a study's runs came to, cell by cell, and how far apart they lie: the numbers that effects are made of. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from auto_loop.domain.cell import Cell, cells_of, seed_of
from auto_loop.domain.decision import DecisionKind, EffectSeen, effect_seen
from auto_loop.domain.effect import SCREEN_LEVEL, Effect, Finding, Terms, compare
from auto_loop.domain.history import History
from auto_loop.domain.job import CONFIRMATION, JobId
from auto_loop.domain.noise import NoiseFloor, noise_floor
from auto_loop.domain.summary import Summary
from auto_loop.reporting.lens import Lens


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The cells of a study by their first jobs, the objective of each run that left one, and the seeds of all.

    `lead_of` gives a job's cell; jobs that belong to none (their place was taken) are not in it. `bases` are the first
    jobs of what a loop's cells are held against, with the round from which on; the newest comes last.
    """

    lens: Lens
    cells: Mapping[JobId, Cell] = field(default_factory=dict)
    lead_of: Mapping[JobId, JobId] = field(default_factory=dict)
    values: Mapping[JobId, float] = field(default_factory=dict)
    seeds: Mapping[JobId, int] = field(default_factory=dict)
    bases: Mapping[int, tuple[tuple[int, JobId], ...]] = field(default_factory=dict)

    def by_seed(self, cell: Cell) -> dict[int, float]:
        """The values of the cell's runs that trained to the end, by seed; none of a cell that started warm."""
        if cell.lead.warm_from is not None:
            return {}
        known = (job.id for job in cell.succeeded if job.id in self.seeds and job.id in self.values)
        return {self.seeds[job]: self.values[job] for job in known}

    def base(self, loop: int, round: int) -> Cell | None:
        """What the cells of a round are held against."""
        leads = [lead for since, lead in self.bases.get(loop, ()) if since <= round]
        return self.cells.get(leads[-1]) if leads else None

    def screened(self, cell: Cell, round: int) -> Effect | None:
        """The cell against the base of its round, by the runs that a choice of the round could see.

        None for the base itself, and where no config ran under several seeds.
        """
        base = self.base(cell.lead.loop, round)
        if base is None or base.lead.id == cell.lead.id or max(len(base.jobs), len(cell.jobs)) < 2:
            return None
        return self.held(_without(cell, 0), _without(base, round))

    def against_parent(self, cell: Cell) -> Effect | None:
        """The cell against that of its parent; None where neither ran under several seeds."""
        parent = self.cells.get(self.lead_of.get(cell.lead.origin.parent or JobId(0), JobId(0)))
        if parent is None or parent is cell or max(len(parent.jobs), len(cell.jobs)) < 2:
            return None
        return self.held(_without(cell, 0), _without(parent, 0))

    def held(self, cell: Cell, base: Cell) -> Effect:
        """The effect of a cell against another, at the level of screening: no claim."""
        terms = Terms(
            direction=self.lens.goal_direction,
            paired=self.lens.paired,
            level=SCREEN_LEVEL,
            min_difference=self.lens.min_difference,
        )
        return compare(self.by_seed(cell), self.by_seed(base), terms)

    def floor(self, loop: int) -> NoiseFloor:
        """How far apart the runs of one config lie in a loop. Loops may train for different times, so each has one."""
        repeated = (cell for cell in self.cells.values() if cell.lead.loop == loop and cell.repeats)
        return noise_floor((self.by_seed(cell) for cell in repeated), paired=self.lens.paired)


def runs_of(history: History, lens: Lens) -> Runs:
    """All of a study's runs."""
    cells = {cell.lead.id: cell for cell in cells_of(history.jobs)}
    values = {job: _value(one, lens) for job, one in history.summaries.items()}
    seeds = {} if lens.seed is None else {job.id: seed_of(job.config, lens.seed) for job in history.jobs}
    return Runs(
        lens=lens,
        cells=cells,
        lead_of={job.id: lead for lead, cell in cells.items() for job in cell.jobs},
        values={job: value for job, value in values.items() if value is not None and math.isfinite(value)},
        seeds={job: seed for job, seed in seeds.items() if seed is not None},
        bases=_bases(history, cells.values()),
    )


def seen_in(history: History, kind: DecisionKind) -> dict[tuple[int, int], EffectSeen]:
    """The effects of one kind that a study's decisions rest on, by loop and round; what cannot be read is left out."""
    found = {}
    for one in history.decisions:
        if one.kind is kind:
            try:
                found[one.loop, one.round] = effect_seen(one.detail)
            except (TypeError, ValueError):  # written by another version: a report is drawn without it
                continue
    return found


def _bases(history: History, cells: Iterable[Cell]) -> dict[int, tuple[tuple[int, JobId], ...]]:
    """A loop's first config is its base until a winner is confirmed; that one is it from the next round on."""
    found: dict[int, list[tuple[int, JobId]]] = {}
    for cell in cells:
        if cell.lead.round == 1:
            found.setdefault(cell.lead.loop, [(1, cell.lead.id)])
    for (loop, number), seen in seen_in(history, DecisionKind.CONFIRMATION).items():
        if seen.effect.finding is Finding.BETTER:
            found.setdefault(loop, []).append((number + 1, seen.candidate))
    return {loop: tuple(leads) for loop, leads in found.items()}


def _without(cell: Cell, round: int) -> Cell:
    """The cell without its runs on fresh seeds, but for those of the rounds before `round`."""
    kept = tuple(job for job in cell.repeats if job.origin.proposer != CONFIRMATION or job.round < round)
    return replace(cell, repeats=kept)


def _value(summary: Summary, lens: Lens) -> float | None:
    """The run's objective: the pack's own where it computes one, else the main metric's best value, else its last."""
    if lens.goal is not None:
        return lens.goal(summary)
    if not lens.main_metric:
        return None
    stats = lens.metric(summary.metrics, lens.main_metric)
    if stats is None:
        return None
    return stats.best if stats.best is not None else stats.last
