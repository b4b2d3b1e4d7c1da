"""Whatever a run looks like: from the readings that were kept of it, a pack says the same again."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.series import Series, Source, series_of
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.rules.engine import fire, refire
from auto_loop.rules.facts import facts_of
from auto_loop.rules.laws import predictions
from auto_loop.rules.pack import parse, shipped_pack
from auto_loop.rules.recorded import facts_of_readings
from tests.packs.studies import BASELINE

ODD = parse("""
[metrics.m]
aliases = ["q"]
[[law]]
metric = "m"
value = 'sum(next.a.*.c * last("m/*")) + last("q")'
[[law]]
metric = "n"
value = 'value("m", b) / next.b'
when = 'exists("q")'
[[diagnosis]]
name = "d"
when = 'not exists("r") or log_matches("x")'
says = "{pct('q', 2)} {exists(b)} {any(a.*.c > last('m/*'))} {nan_count('r')} {{}}"
[[rule]]
name = "fold"
when = 'any(a.*.c < last("m/*")) or last("m") == last("r") or value("m", b * 2) > 0'
reason = "{best('m')} at {best_step('m')}, {slope('m', 3)} of {slope('r')}"
change = { "b@set" = { expr = 'value("r", b) + delta("m", 2)', predict = "m" }, "a.0.c" = 3 }
[[rule]]
name = "also"
when = 'first("m") < 1 or max(a.*.c) > n("m")'
reason = "{value('m')} {log_matches('y')}"
change = { "b@mul" = 2.0 }
""")
ACT = shipped_pack("act_ot")
NUMBERS = st.none() | st.floats() | st.sampled_from([0.0, 1e-40, 1e-5, 0.2, 3.0, 700.0])
STATS = st.builds(
    MetricStats,
    first=NUMBERS,
    last=NUMBERS,
    best=NUMBERS,
    best_step=st.none() | st.integers(0, 10**9),
    delta=NUMBERS,
    pct=NUMBERS,
    n=st.integers(0, 9),
    nan_count=st.integers(0, 9),
    source=st.sampled_from(Source),
)


def series(points: list[tuple[int, float]], source: Source) -> Series:
    return series_of("any", [step for step, _ in points], [value for _, value in points], source)


SERIES = st.builds(series, st.lists(st.tuples(st.integers(0, 50), st.floats()), max_size=6), st.sampled_from(Source))
ODD_NAMES = st.sampled_from(["m", "q", "r", "m/0", "m/1", "m/x", "m/*"])
ODD_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "a": st.lists(st.fixed_dictionaries({}, optional={"c": NUMBERS.filter(lambda x: x is None or abs(x) < 1e99)}))
        | st.dictionaries(st.sampled_from(["x", "0"]), st.just({"c": 1})),
        "b": st.none() | st.integers(-3, 60) | st.just("text"),
    },
)


def runs(
    names: st.SearchStrategy[str], configs: st.SearchStrategy[dict[str, Any] | None]
) -> st.SearchStrategy[Summary]:
    return st.builds(
        Summary,
        run_dir=st.just("x"),
        config=configs.map(lambda tree: None if tree is None else Config.of(tree)),
        metrics=st.dictionaries(names, STATS, max_size=6),
        series=st.dictionaries(names, SERIES, max_size=4),
        log_tail=st.sampled_from(["", "x", "y"]),
    )


def kept(readings: Any) -> Any:
    return json.loads(json.dumps(readings, allow_nan=False))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs(ODD_NAMES, st.none() | ODD_CONFIGS), ODD_CONFIGS)
def test_an_odd_pack_says_the_same_from_recorded_readings(run: Summary, changed: dict[str, Any]) -> None:
    fired = fire(ODD, run, {"also": 7})
    again = refire(ODD, run.config, kept(fired.readings), {"also": 7})
    assert again == fired
    config = Config.of(changed)
    foreseen = predictions(ODD, facts_of(run, ODD.canonical), config)
    assert predictions(ODD, facts_of_readings(again.readings, run.config, ODD.canonical), config) == foreseen


ACT_NAMES = st.sampled_from(sorted({*ACT.metrics, *ACT.aliases}))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(runs(ACT_NAMES, st.sampled_from([None, BASELINE])))
def test_the_shipped_pack_says_the_same_from_recorded_readings(run: Summary) -> None:
    fired = fire(ACT, run)
    again = refire(ACT, run.config, kept(fired.readings))
    assert again == fired
