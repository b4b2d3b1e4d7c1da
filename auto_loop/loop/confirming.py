"""Is the round's winner really better than the base? It is asked of runs on fresh seeds, which no choice has seen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from auto_loop.domain.cell import Cell, seed_of
from auto_loop.domain.decision import Decision, DecisionKind, EffectSeen, effect_seen
from auto_loop.domain.effect import SCREEN_LEVEL, Effect, Finding, compare, confirmation_level, in_words, screen
from auto_loop.domain.job import CONFIRMATION, Job, JobId, NewJob
from auto_loop.domain.stats import Direction
from auto_loop.loop.children import queue_repeats
from auto_loop.loop.parts import Parts
from auto_loop.loop.repeating import Lead
from auto_loop.loop.standing import Standing, terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """A promising winner is to run on fresh seeds beside the base."""

    candidate: Cell
    base: Cell
    seen: EffectSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What the fresh seeds showed; `new_base` when that is better, with the words for it."""

    seen: EffectSeen
    words: str

    @property
    def new_base(self) -> JobId | None:
        """The winner's first job, if it becomes what others are held against."""
        return self.seen.candidate if self.seen.effect.finding is Finding.BETTER else None


def confirming(parts: Parts, number: int, stand: Standing) -> Confirm | Confirmed | None:
    """What is next with the winner of round `number`: its confirmation, what that showed, or nothing."""
    if stand.base is None:
        return None
    under_way = open_screening(parts)
    if under_way is not None:
        return confirmed(parts, stand, under_way.seen)
    if any(one.round == number for one in screenings(parts)):
        return None
    return screened(parts, stand, stand.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """A winner that was found promising after `round`, and runs on fresh seeds."""

    round: int
    seen: EffectSeen


def screenings(parts: Parts) -> tuple[Screening, ...]:
    """The loop's, oldest first."""
    found = parts.ledger.reading.decisions.of_kind(parts.study, DecisionKind.SCREENING)
    return tuple(Screening(round=one.round, seen=effect_seen(one.detail)) for one in found if one.loop == parts.loop)


def open_screening(parts: Parts) -> Screening | None:
    """The one whose confirmation is not decided; there is never more than one."""
    found = screenings(parts)
    if not found:
        return None
    kept = parts.ledger.reading.decisions.of_kind(parts.study, DecisionKind.CONFIRMATION)
    over = {effect_seen(one.detail).number for one in kept if one.loop == parts.loop}
    return found[-1] if found[-1].seen.number not in over else None


def screened(parts: Parts, stand: Standing, base: Cell) -> Confirm | None:
    """The most promising of the cells, if any is."""
    held, on = stand.values(parts, base), terms(parts, SCREEN_LEVEL)
    best: tuple[Cell, Effect] | None = None
    for cell in stand.cells:
        values = stand.values(parts, cell)
        if cell.lead.id == base.lead.id or not screen(values, held, on):
            continue
        effect = compare(values, held, on)
        if best is None or _further(effect, best[1], on.direction):
            best = cell, effect
    if best is None:
        return None
    cell, effect = best
    seen = EffectSeen(
        candidate=cell.lead.id,
        base=base.lead.id,
        seeds=_fresh_seeds(parts, (*stand.cells, base)),
        effect=effect,
        number=1 + len(parts.ledger.reading.decisions.of_kind(parts.study, DecisionKind.CONFIRMATION)),
    )
    return Confirm(candidate=cell, base=base, seen=seen)


def _further(one: Effect, other: Effect, direction: Direction) -> bool:
    mine, theirs = one.estimate or 0.0, other.estimate or 0.0
    return mine < theirs if direction is Direction.LOWER else mine > theirs


def _fresh_seeds(parts: Parts, cells: Iterable[Cell]) -> tuple[int, ...]:
    """Seeds behind all that these configs have run under."""
    at = parts.seed or ()
    used = [seed for cell in cells for job in cell.jobs if (seed := seed_of(job.config, at)) is not None]
    first = max(used, default=0) + 1
    return tuple(range(first, first + parts.call.repeats))


def begin(parts: Parts, number: int, confirm: Confirm) -> int:
    """Queue the runs that confirm, in the round that they belong to; how many. Call it inside a transaction."""
    parts.ledger.decisions.record(_decision(parts, number, DecisionKind.SCREENING, confirm.seen))
    leads = (_as_lead(parts, number, cell.lead) for cell in (confirm.candidate, confirm.base))
    return sum(queue_repeats(parts, lead, confirm.seen.seeds, CONFIRMATION) for lead in leads)


def promising_text(confirm: Confirm, queued: int) -> str:
    """What people are told of a screening."""
    names = f"{confirm.candidate.lead.name} against {confirm.base.lead.name}"
    return f"Promising: {names}, held against each other on fresh seeds next ({queued} jobs)."


def confirmed_text(seen: Confirmed, job_of: Callable[[JobId], Job | None]) -> str:
    """What people are told that the fresh seeds showed."""
    found = [(number, job_of(number)) for number in (seen.seen.candidate, seen.seen.base)]
    names = [f"job {number}" if job is None else job.name for number, job in found]
    follows = "; it is the base from here on" if seen.new_base is not None else "; the base stays"
    return f"On fresh seeds, {names[0]} against {names[1]}: {seen.words}{follows}."


def _as_lead(parts: Parts, number: int, job: Job) -> Lead:
    new = NewJob(
        study=parts.study,
        loop=parts.loop,
        round=number,
        name=job.name,
        cfg_file=job.cfg_file,
        config=job.config,
        output_dir=job.output_dir,
    )
    return Lead(id=job.id, job=new)


def keep(parts: Parts, number: int, confirmed: Confirmed) -> None:
    """Keep what the fresh seeds showed. Call it inside a transaction."""
    parts.ledger.decisions.record(_decision(parts, number, DecisionKind.CONFIRMATION, confirmed.seen))


def _decision(parts: Parts, number: int, kind: DecisionKind, seen: EffectSeen) -> Decision:
    now = parts.workshop.clock()
    return Decision(loop=parts.loop, round=number, kind=kind, at=now, detail=seen.to_json())


def confirmed(parts: Parts, stand: Standing, promising: EffectSeen) -> Confirmed:
    """The winner against the base, by the fresh seeds alone."""
    on = terms(parts, confirmation_level(promising.number))
    cells = {cell.lead.id: cell for cell in (*stand.cells, *([stand.base] if stand.base else []))}
    sides = [_fresh(parts, stand, cells.get(lead), promising.seeds) for lead in (promising.candidate, promising.base)]
    effect = compare(sides[0], sides[1], on)
    seen = replace(promising, effect=effect)
    return Confirmed(seen=seen, words=in_words(effect, parts.pack.goal))


def _fresh(parts: Parts, stand: Standing, cell: Cell | None, seeds: Iterable[int]) -> dict[int, float]:
    values = {} if cell is None else stand.values(parts, cell)
    return {seed: values[seed] for seed in seeds if seed in values}
