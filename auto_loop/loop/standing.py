"""Where a loop stands after a round: its cells, what each run came to, and the base that others are held against."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from auto_loop.domain.cell import Cell, cells_of, is_repeat, pooled, values_of
from auto_loop.domain.decision import DecisionKind, effect_seen
from auto_loop.domain.effect import Finding, Terms
from auto_loop.domain.job import REMEDY, Job, JobId
from auto_loop.domain.noise import NoiseFloor, noise_floor
from auto_loop.domain.summary import Summary
from auto_loop.loop.parts import Parts
from auto_loop.proposers.rulebook import goal_direction, objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The jobs of a round, their cells, and the base; `summaries` are those of all these jobs.

    `replaced` are failed jobs whose place a remedied one has taken, with that one. `base` is the config that a winner
    is held against, None where configs are not repeated.
    """

    jobs: tuple[Job, ...]
    cells: tuple[Cell, ...]
    summaries: Mapping[JobId, Summary]
    replaced: Mapping[JobId, Job]
    base: Cell | None = None

    def pooled(self, parts: Parts, cell: Cell) -> Summary | None:
        """A cell as the rules see it: its runs that trained to the end as one, else its first job's own."""
        found = [self.summaries[job.id] for job in cell.succeeded if job.id in self.summaries]
        if not found:
            return self.summaries.get(cell.lead.id)
        one = pooled(found, parts.pack.direction)
        return replace(one, config=cell.lead.config, config_file=cell.lead.cfg_file)

    def values(self, parts: Parts, cell: Cell) -> dict[int, float]:
        """What the cell's runs came to, by seed; a warm start is no fair comparison, so it has none."""
        if parts.seed is None or cell.lead.warm_from is not None:
            return {}
        known = {job.id: objective(parts.pack, self.summaries[job.id]) for job in cell.jobs if job.id in self.summaries}
        return values_of(cell, {job: value for job, value in known.items() if value is not None}, parts.seed)


def standing(parts: Parts, number: int, summaries: Mapping[JobId, Summary]) -> Standing:
    """How the loop stands after round `number`; `summaries` are this supervisor's own, which hold their series."""
    reading = parts.ledger.reading
    jobs = reading.jobs_of_round(parts.study, parts.loop, number)
    replaced = {job.origin.parent: job for job in jobs if job.origin.proposer == REMEDY and job.origin.parent}
    stand = standing_of(parts, cells_of(jobs), summaries, jobs)
    return replace(stand, replaced={job: by for job, by in replaced.items() if job is not None})


def standing_of(
    parts: Parts, cells: Sequence[Cell], summaries: Mapping[JobId, Summary], jobs: Sequence[Job] = ()
) -> Standing:
    """How these cells stand; `jobs` are all that are to be known, none when they are those of the cells."""
    base = base_cell(parts)
    jobs = tuple(jobs) or tuple(job for cell in cells for job in cell.jobs)
    known = {job.id: job for job in (*jobs, *(base.jobs if base else ()))}
    kept = _summaries(parts, known, summaries)
    return Standing(jobs=jobs, cells=tuple(cells), summaries=kept, replaced={}, base=base)


def base_cell(parts: Parts) -> Cell | None:
    """The cell that a winner is held against; None where configs are not repeated."""
    return _cell(parts, base_lead(parts)) if parts.call.repeats > 1 else None


def base_lead(parts: Parts) -> JobId:
    """The first job of the base: the last confirmed winner of this loop, else the first config that it was given."""
    confirmed = parts.ledger.reading.decisions.of_kind(parts.study, DecisionKind.CONFIRMATION)
    for decision in reversed(confirmed):
        seen = effect_seen(decision.detail)
        if decision.loop == parts.loop and seen.effect.finding is Finding.BETTER:
            return seen.candidate
    first = parts.ledger.reading.jobs_of_round(parts.study, parts.loop, 1)
    return cells_of(first)[0].lead.id


def _cell(parts: Parts, lead: JobId) -> Cell:
    job = parts.ledger.reading.job(lead)
    if job is None:
        raise ValueError(f"job {lead} is not in the ledger")
    line = _line(parts, job)
    repeats = [one for above in line for one in parts.ledger.reading.children_of(above) if is_repeat(one)]
    if len(line) > 1:  # of a config that was remedied, those count that were remedied as often
        repeats += [by for one in repeats for by in _in_place_of(parts, one)]
    cells = cells_of([*line, *repeats])
    return next((one for one in cells if one.lead.id == lead), Cell(lead=job))


def _line(parts: Parts, job: Job) -> list[Job]:
    """The job, and before it those whose place it has taken, the oldest first."""
    line = [job]
    while line[0].origin.proposer == REMEDY and line[0].origin.parent is not None:
        above = parts.ledger.reading.job(line[0].origin.parent)
        if above is None:
            break
        line.insert(0, above)
    return line


def _in_place_of(parts: Parts, job: Job) -> Iterator[Job]:
    """The jobs that took a failed one's place, one after another."""
    left: Job | None = job
    while left is not None:
        children = parts.ledger.reading.children_in_round(left, left.round)
        left = next((one for one in children if one.origin.proposer == REMEDY), None)
        if left is not None:
            yield left


def parent_cell(parts: Parts, cell: Cell) -> Cell | None:
    """The cell that a cell's config was made of; None of a remedied one, which no rule proposed."""
    origin = cell.lead.origin
    return None if origin.parent is None or origin.proposer == REMEDY else _cell(parts, origin.parent)


def with_summaries(parts: Parts, stand: Standing, cell: Cell) -> Standing:
    """The standing, with the summaries of one more cell."""
    known = {job.id: job for job in cell.jobs if job.id not in stand.summaries}
    return replace(stand, summaries={**stand.summaries, **_summaries(parts, known, {})})


def _summaries(parts: Parts, jobs: Iterable[JobId], own: Mapping[JobId, Summary]) -> dict[JobId, Summary]:
    kept = {job: own.get(job) or parts.ledger.reading.summary(job) for job in jobs}
    return {job: summary for job, summary in kept.items() if summary is not None}


def terms(parts: Parts, level: float) -> Terms:
    """On which terms the loop's cells are held against each other."""
    return Terms(
        direction=goal_direction(parts.pack),
        paired=parts.paired,
        level=level,
        min_difference=parts.pack.objective.min_difference,
    )


def floor_of(parts: Parts, stand: Standing) -> NoiseFloor:
    """How far runs of one config lie apart, by the cells at hand."""
    return noise_floor((stand.values(parts, cell) for cell in stand.cells), paired=parts.paired)
