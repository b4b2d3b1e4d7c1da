"""From the searches and their confirmations to figures and a Markdown table: pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low, stdev

from auto_loop.domain import student
from benchmarks.strategy_design import BASELINE, Arm, Design, JobRecord, Search
from benchmarks.strategy_survival import Median, Time, median, restricted_mean

NOT = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with its 95 % t interval; without two values it has none (NaN)."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Of independent values, or of differences within pairs: then it is the paired t."""
        n = len(values)
        if n < 2:
            return cls(mean=values[0] if values else math.nan, low=math.nan, high=math.nan, n=n)
        half = student.quantile(0.975, n - 1) * stdev(values) / math.sqrt(n)
        return cls(mean=fmean(values), low=fmean(values) - half, high=fmean(values) + half, n=n)

    @property
    def verdict(self) -> str:
        """What may be said of a difference."""
        if math.isnan(self.low):
            return "no interval"
        return "lower" if self.high < 0 else "higher" if self.low > 0 else "no detectable effect"

    def text(self, digits: int, sign: str = "") -> str:
        """`0.190 [0.181, 0.199]`."""
        if math.isnan(self.mean):
            return "–"
        around = "" if math.isnan(self.low) else f" [{self.low:{sign}.{digits}f}, {self.high:{sign}.{digits}f}]"
        return f"{self.mean:{sign}.{digits}f}{around}"


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


def l1_difference(mine: Sequence[float | None], other: Sequence[float | None]) -> Interval:
    """Mine minus the other's, repeat by repeat; a repeat that one of them lacks is left out."""
    pairs = zip(mine, other, strict=True)
    return Interval.of([a - b for a, b in pairs if a is not None and b is not None])


def mass_difference(mine: Sequence[Entry], other: Sequence[Entry], budget: float) -> Interval:
    """The difference of the times to mass, those that never had any counted with the whole budget."""
    pairs = zip(mine, other, strict=True)
    return Interval.of([a.mass_time(budget).at - b.mass_time(budget).at for a, b in pairs])


def summary(entries: Mapping[Arm, Sequence[Entry]], unchanged: Sequence[float | None], design: Design) -> str:
    """Both tables. `unchanged` is what the baseline itself came to on the fresh seeds of each repeat."""
    rows = [row_of(arm, entries[arm], design) for arm in Arm]
    known = Interval.of([value for value in unchanged if value is not None])
    return "\n".join(
        [
            *_table(_HEAD, [*map(_cells, rows), (BASELINE, *["–"] * 7, known.text(4))]),
            "",
            f"{Arm.COMPUTED} minus the other, {design.repeats} pairs (paired t, 95 % each by itself):",
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
_AGAINST = ("other", "confirmed L1", "", "slot-minutes to mass", "")


def _cells(row: Row) -> tuple[str, ...]:
    early = f"; {row.out_of_proposals} × out of proposals" if row.out_of_proposals else ""
    return (
        row.arm,
        f"{row.jobs:.1f} ({row.cut_off:.1f}){early}",
        f"{row.reached} of {row.repeats}",
        f"{_reached(row.mass.value, 2)} [{_reached(row.mass.low, 2)}, {_reached(row.mass.high, 2)}]",
        f"{row.mass_mean:.2f}",
        f"{_reached(row.mass_round)} / {_reached(row.mass_job)}",
        f"{row.best.text(2)}; {_reached(row.best_round)} / {_reached(row.best_job)}",
        row.seen.text(4),
        row.confirmed.text(4),
    )


def _reached(value: float, digits: int = 0) -> str:
    return NOT if math.isinf(value) else "–" if math.isnan(value) else f"{value:.{digits}f}"


def _differences(
    entries: Mapping[Arm, Sequence[Entry]], unchanged: Sequence[float | None], design: Design
) -> list[tuple[str, ...]]:
    mine = entries[Arm.COMPUTED]
    my_l1 = [entry.confirmed_l1 for entry in mine]
    made = []
    for arm in (arm for arm in Arm if arm is not Arm.COMPUTED):
        l1 = l1_difference(my_l1, [entry.confirmed_l1 for entry in entries[arm]])
        mass = mass_difference(mine, entries[arm], design.budget)
        made.append((arm, l1.text(4, "+"), l1.verdict, mass.text(2, "+"), mass.verdict))
    l1 = l1_difference(my_l1, unchanged)
    return [*made, (BASELINE, l1.text(4, "+"), l1.verdict, "–", "")]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), "|" + " --- |" * len(head), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
