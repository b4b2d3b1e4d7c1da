"""Figures of the slots: hand-off, busy share and rate of all contestants, who take turns within one run."""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contestants import ACCELERATE, BARE, KEPT, SPAWN, TSP, Contestant, Race, tsp_missing
from benchmarks.figure import Figure
from benchmarks.stamps import Stamps, busy_share, handoffs, median, percentile, rate

GOAL_BUSY, GOAL_RATE = 97.0, 130.0
ACCELERATED_JOBS = 6
Races = dict[str, list[Stamps]]


def contestants() -> list[Contestant]:
    """Everybody who can take part here, the peers first."""
    return [SPAWN, *([] if tsp_missing() else [TSP]), BARE, KEPT]


def raced(race: Race, who: Sequence[Contestant], times: int) -> Races:
    """Each contestant's races by its name, in turns, so that what else the machine does meets them all."""
    races: Races = {one.name: [] for one in who}
    for _ in range(times):
        for one in who:
            with tempfile.TemporaryDirectory(prefix="auto-loop-benchmark-") as folder:
                races[one.name].append(one.run(race, Path(folder)))
    return races


def handoff_figures(jobs: int, times: int) -> list[Figure]:
    """Hand-off and busy share on jobs of one second."""
    race = Race(jobs=jobs, nap_s=1.0)
    races = raced(race, contestants(), times)
    gaps = {name: [1e3 * gap for one in runs for gap in handoffs(one, race.slots)] for name, runs in races.items()}
    medians = {name: median(of) for name, of in gaps.items()}
    p95s = {name: percentile(of, 95) for name, of in gaps.items()}
    busy = {name: median([100 * busy_share(one, race.slots) for one in runs]) for name, runs in races.items()}
    kind = f"{race.slots} slots, {times} × {jobs} jobs of 1 s"
    return [
        *_beside_tsp(f"hand-off, median ({kind})", medians),
        *_beside_tsp("hand-off, 95th percentile", p95s, has_goal=False),
        *_beside_goal("busy share of the slots", busy, "%", GOAL_BUSY),
    ]


def rate_figures(jobs: int, times: int) -> list[Figure]:
    """Null jobs a second."""
    race = Race(jobs=jobs, nap_s=0.0)
    rates = {name: median([rate(one) for one in runs]) for name, runs in raced(race, contestants(), times).items()}
    return _beside_goal(f"null jobs a second ({race.slots} slots, {times} × {jobs} jobs)", rates, "/s", GOAL_RATE)


def accelerate_figures() -> list[Figure]:
    """The hand-off through `accelerate launch`, for the record: most of it is accelerate's own start."""
    if importlib.util.find_spec("accelerate") is None:
        return []
    race = Race(jobs=ACCELERATED_JOBS, nap_s=1.0)
    (run,) = raced(race, [ACCELERATE], 1)[ACCELERATE.name]
    gaps = [1e3 * gap for gap in handoffs(run, race.slots)]
    note = "accelerate's own start"
    return [
        _figure(f"hand-off, median ({race.slots} slots, {race.jobs} jobs of 1 s)", ACCELERATE.name, median(gaps), note)
    ]


def _figure(what: str, who: str, value: float, note: str = "") -> Figure:
    return Figure(what=what, who=who, value=value, unit="ms", note=note)


def _beside_tsp(what: str, values: dict[str, float], *, has_goal: bool = True) -> list[Figure]:
    """Ours has to be no higher than tsp's in the same run; without tsp there is nothing to hold it against."""
    peer = values.get(TSP.name)
    base = values[SPAWN.name]
    ours = {BARE.name, KEPT.name}
    return [
        Figure(
            what=what,
            who=name,
            value=value,
            unit="ms",
            goal=f"<= {peer:.1f} (tsp)" if name in ours and peer and has_goal else "",
            reached=value <= peer if name in ours and peer and has_goal else None,
            note=_ratio(value, peer, "tsp") if name in ours and peer else _ratio(value, base, "spawn"),
        )
        for name, value in values.items()
    ]


def _beside_goal(what: str, values: dict[str, float], unit: str, goal: float) -> list[Figure]:
    peer = values.get(TSP.name)
    ours = {BARE.name, KEPT.name}
    return [
        Figure(
            what=what,
            who=name,
            value=value,
            unit=unit,
            goal=f">= {goal:.0f} {unit}" if name in ours else "",
            reached=value >= goal if name in ours else None,
            note=_ratio(value, peer, "tsp") if name in ours and peer else "",
        )
        for name, value in values.items()
    ]


def _ratio(value: float, other: float, name: str) -> str:
    return "" if value == other else f"{value / other:.2f} × {name}"
