"""From the searches and their confirmations to figures and a Markdown table: pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low, stdev

from auto_loop.domain import student
from auto_loop.domain.effect import FEWEST_FOR_BOOTSTRAP, Effect, Method, Terms, compare
from auto_loop.domain.stats import Direction
from benchmarks.strategy_design import BASELINE, Arm, Design, JobRecord, Search
from benchmarks.strategy_survival import Median, Time, median, restricted_mean

NOT = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its 95 % t interval; without two values it has none (NaN)."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Of independent values, one a repeat."""
        n = len(values)
        if n < 2:
            return cls(mean=values[0] if values else math.nan, low=math.nan, high=math.nan)
        half = student.quantile(0.975, n - 1) * stdev(values) / math.sqrt(n)
        return cls(mean=fmean(values), low=fmean(values) - half, high=fmean(values) + half)

    def text(self, digits: int) -> str:
        """`0.190 [0.181, 0.199]`."""
        if math.isnan(self.mean):
            return "–"
        around = "" if math.isnan(self.low) else f" [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{self.mean:.{digits}f}{around}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An arm in one repeat, with what its best config came to on each fresh seed (None: that job failed)."""

    search: Search
    confirmed: tuple[float | None, ...]

    @property
    def confirmed_l1(self) -> float | None:
        """The mean over the fresh seeds; None without a best job, or when one of the confirming jobs failed."""
        whole = [value for value in self.confirmed if value is not None]
        return fmean(whole) if whole and len(whole) == len(self.confirmed) else None

    def mass_time(self, budget: float) -> Time:
        """Slot-minutes until a job had ended with mass, censored at the budget."""
        found = self.search.first_alive
        return Time(at=found.minutes if found else budget, reached=found is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An arm over all repeats."""

    arm: Arm
    repeats: int
    jobs: float
    cut_off: float
    out_of_proposals: int
    reached: int
    mass: Median
    mass_mean: float
    mass_round: float
    mass_job: float
    best: Interval
    best_round: float
    best_job: float
    seen: Interval
    confirmed: Interval


def row_of(arm: Arm, entries: Sequence[Entry], design: Design) -> Row:
    """The figures of one arm."""
    searches = [entry.search for entry in entries]
    times = [entry.mass_time(design.budget) for entry in entries]
    best = [search.best for search in searches]
    return Row(
        arm=arm,
        repeats=len(entries),
        jobs=fmean(len(search.jobs) for search in searches),
        cut_off=fmean(search.launched - len(search.jobs) for search in searches),
        out_of_proposals=sum(search.done_at is not None for search in searches),
        reached=sum(time.reached for time in times),
        mass=median(times),
        mass_mean=restricted_mean(times, design.budget),
        mass_round=_middle([_round(search.first_alive) for search in searches]),
        mass_job=_middle([_count(search, search.first_alive) for search in searches]),
        best=Interval.of([job.minutes for job in best if job]),
        best_round=_middle([_round(job) for job in best]),
        best_job=_middle([_count(search, search.best) for search in searches]),
        seen=Interval.of([job.l1 for job in best if job and job.l1 is not None]),
        confirmed=Interval.of([value for entry in entries if (value := entry.confirmed_l1) is not None]),
    )


def _round(job: JobRecord | None) -> float:
    return job.round if job else math.inf


def _count(search: Search, job: JobRecord | None) -> float:
    """How many jobs had ended by then."""
    return search.jobs.index(job) + 1 if job else math.inf


def _middle(values: Sequence[float]) -> float:
    return median_low(values) if values else math.nan


def against(mine: Sequence[float | None], other: Sequence[float | None]) -> Effect:
    """Mine minus the other's, paired by repeat; low is good. A repeat that one of them lacks is left out."""
    terms = Terms(direction=Direction.LOWER, paired=True, level=0.95)
    mapped = ({at: value for at, value in enumerate(values) if value is not None} for values in (mine, other))
    return compare(*mapped, terms)


def summary(entries: Mapping[Arm, Sequence[Entry]], unchanged: Sequence[float | None], design: Design) -> str:
    """Both tables. `unchanged` is what the baseline itself came to on the fresh seeds of each repeat."""
    rows = [row_of(arm, entries[arm], design) for arm in Arm]
    method = Method.PAIRED_T if design.repeats < FEWEST_FOR_BOOTSTRAP else Method.PAIRED_BOOTSTRAP
    known = Interval.of([value for value in unchanged if value is not None])
    return "\n".join(
        [
            *_table(_HEAD, [*map(_cells, rows), (BASELINE, *["–"] * 7, known.text(4))]),
            "",
            f"{Arm.COMPUTED} minus the other, by repeat ({method}; 95 %, each by itself):",
            "",
            *_table(_AGAINST, _differences(entries, unchanged, design)),
        ]
    )


_HEAD = (
    "who",
    "jobs in the budget (cut off)",
    "mass in",
    "slot-minutes to mass: median [95 %]",
    "mean up to the budget",
    "rounds / jobs to mass",
    "slot-minutes to the best; rounds / jobs",
    "best L1 as seen",
    "confirmed L1 [95 %]",
)
_AGAINST = ("other", "confirmed L1", "", "slot-minutes to mass, unreached ones as the whole budget", "")


def _cells(row: Row) -> tuple[str, ...]:
    early = f"; {row.out_of_proposals} × out of proposals" if row.out_of_proposals else ""
    return (
        row.arm,
        f"{row.jobs:.1f} ({row.cut_off:.1f}){early}",
        f"{row.reached} of {row.repeats}",
        _median(row),
        f"{row.mass_mean:.2f}",
        f"{_reached(row.mass_round)} / {_reached(row.mass_job)}",
        f"{row.best.text(2)}; {_reached(row.best_round)} / {_reached(row.best_job)}",
        row.seen.text(4),
        row.confirmed.text(4),
    )


def _median(row: Row) -> str:
    """The median time to mass; of one repeat there is no interval."""
    around = f" [{_reached(row.mass.low, 2)}, {_reached(row.mass.high, 2)}]" if row.repeats > 1 else ""
    return _reached(row.mass.value, 2) + around


def _reached(value: float, digits: int = 0) -> str:
    return NOT if math.isinf(value) else "–" if math.isnan(value) else f"{value:.{digits}f}"


def _differences(
    entries: Mapping[Arm, Sequence[Entry]], unchanged: Sequence[float | None], design: Design
) -> list[tuple[str, ...]]:
    l1 = {arm: [entry.confirmed_l1 for entry in entries[arm]] for arm in Arm}
    mass = {arm: [entry.mass_time(design.budget).at for entry in entries[arm]] for arm in Arm}
    made = []
    for arm in (arm for arm in Arm if arm is not Arm.COMPUTED):
        sooner = _effect(against(mass[Arm.COMPUTED], mass[arm]), 2)
        made.append((arm, *_effect(against(l1[Arm.COMPUTED], l1[arm]), 4), *sooner))
    return [*made, (BASELINE, *_effect(against(l1[Arm.COMPUTED], unchanged), 4), "–", "")]


def _effect(effect: Effect, digits: int) -> tuple[str, str]:
    """The difference with its interval, and what may be said of it."""
    if effect.estimate is None:
        return "–", effect.finding
    estimate = f"{effect.estimate:+.{digits}f}"
    if effect.low is None or effect.high is None:
        return estimate, "no interval"
    return f"{estimate} [{effect.low:+.{digits}f}, {effect.high:+.{digits}f}], {effect.pairs} pairs", effect.finding


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), "|" + " --- |" * len(head), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
