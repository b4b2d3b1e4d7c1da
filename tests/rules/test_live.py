"""Live rules over a run: which looks count, and at which step they fire."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.series import Series, Source, series_of
from auto_loop.domain.stats import summarise
from auto_loop.domain.summary import Summary
from auto_loop.rules.facts import Facts, facts_of
from auto_loop.rules.live import LiveState, Readings, concerns, fires_at, play_back, step, watched
from auto_loop.rules.model import Pack, Stop
from auto_loop.rules.pack import parse

PACK = """
name = "live"
[metrics."train/loss"]
aliases = ["loss"]
[metrics."mass"]
direction = "none"
[[rule]]
name = "never"
when = 'last("train/loss") < -1e300'
change = { "lr@mul" = 0.5 }
reason = "none"
[[stop]]
name = "dead"
when = '{when}'
after = {after}
for = {readings}
reason = "mass is {{value('mass')}}"
"""


def pack_with(when: str, after: int = 0, readings: int = 1) -> tuple[Pack, Stop]:
    text = PACK.replace("{when}", when).replace("{after}", str(after)).replace("{readings}", str(readings))
    pack = parse(text.replace("{{", "{").replace("}}", "}"))
    return pack, next(one for one in pack.stops if one.name == "dead")


def run_of(**named: list[tuple[int, float]]) -> Summary:
    series = {
        name: series_of(name, [at for at, _ in points], [value for _, value in points], Source.METRICS)
        for name, points in named.items()
    }
    return Summary(run_dir="run", series=series, metrics=summarise(series, parse("name='none'").direction))


def test_it_fires_when_it_has_held_for_its_readings() -> None:
    pack, dead = pack_with('value("mass") < 1', readings=3)
    assert fires_at(dead, run_of(mass=[(10, 0), (20, 0), (30, 2), (40, 0), (50, 0), (60, 0), (70, 0)]), pack) == 60


def test_nothing_is_looked_at_before_its_step() -> None:
    pack, dead = pack_with('value("mass") < 1', after=30, readings=2)
    assert fires_at(dead, run_of(mass=[(10, 0), (20, 0), (30, 0), (40, 0)]), pack) == 40


def test_unknown_neither_counts_nor_begins_again() -> None:
    pack, dead = pack_with('1 / value("mass") > 1', readings=2)
    assert fires_at(dead, run_of(mass=[(10, 0.5), (20, 0), (30, 0.5)]), pack) == 30
    assert fires_at(dead, run_of(mass=[(10, 0.5), (20, 0), (30, 0)]), pack) is None


def test_only_readings_of_its_own_metrics_are_counted() -> None:
    pack, dead = pack_with('value("mass") < 1', readings=2)
    run = run_of(mass=[(10, 0), (100, 0)], **{"train/loss": [(at, 1.0) for at in range(10, 100, 10)]})
    assert fires_at(dead, run, pack) == 100


def test_readings_of_one_step_count_once_and_the_last_look_wins() -> None:
    _, dead = pack_with('value("mass") < 1 and value("train/loss") > 1', readings=2)
    high = Facts(metrics=facts_of(run_of(mass=[(1, 0)], **{"train/loss": [(1, 2.0)]})).metrics)
    low = Facts(metrics=facts_of(run_of(mass=[(1, 0)], **{"train/loss": [(1, 0.5)]})).metrics)
    state, fired = step(LiveState(), dead, high, 10)
    assert (state.held, fired) == (1, False)
    state, fired = step(state, dead, high, 10)
    assert (state.held, fired) == (1, False)
    state, fired = step(state, dead, high, 20)
    assert (state.held, fired) == (2, True)
    state, fired = step(state, dead, low, 20)
    assert (state.held, fired) == (0, False)
    state, fired = step(state, dead, high, 20)
    assert (state.held, fired) == (2, True)


def test_a_condition_on_another_name_is_looked_at_too() -> None:
    pack, dead = pack_with('nan_count("loss") >= 2')
    run = run_of(loss=[(10, 1), (20, math.nan), (30, math.inf)])
    assert watched(dead.when, pack.canonical) == {"train/loss"}
    assert fires_at(dead, run, pack) == 30


def test_a_condition_without_metrics_is_looked_at_with_every_reading() -> None:
    pack, dead = pack_with('log_matches("boom") or 1 < 2')
    assert watched(dead.when, pack.canonical) == frozenset()
    assert concerns(frozenset(), frozenset({"anything"}))
    assert fires_at(dead, run_of(other=[(7, 1.0)]), pack) == 7


def test_a_run_without_its_metrics_is_said_to_be_one() -> None:
    pack, dead = pack_with('value("mass") < 1', after=300)
    played = play_back(dead, run_of(mass=[(10, 0)]), pack)
    assert (played.at, played.looks) == (None, 0)
    assert "no reading of its metrics from step 300" in played.says


def test_what_kept_it_silent_is_said() -> None:
    pack, dead = pack_with('value("mass") < 1', readings=3)
    assert play_back(dead, run_of(mass=[(1, 0), (2, 5)]), pack).says == 'value("mass") = 5, needs < 1'
    held = play_back(dead, run_of(mass=[(1, 0), (2, 0)]), pack)
    assert held.says == "it held for 2 readings in a row at most, needs 3"


def test_the_reason_holds_what_was_read_at_that_step() -> None:
    pack, dead = pack_with('value("train/loss") > 1')
    run = run_of(mass=[(5, 0.25), (30, 9.0)], **{"train/loss": [(10, 0), (20, 3), (30, 0)]})
    played = play_back(dead, run, pack)
    assert (played.at, played.reason) == (20, "mass is 0.25")
    assert played.readings == {'value("train/loss")': 3.0}


def test_final_only_values_are_never_played_back() -> None:
    pack, dead = pack_with('value("mass") < 1')
    last = Series(name="mass", steps=np.array([9]), values=np.array([0.0]), source=Source.FINAL_ONLY)
    assert fires_at(dead, Summary(run_dir="run", series={"mass": last}), pack) is None


def test_a_trainer_that_goes_back_takes_its_points_back() -> None:
    pack, _ = pack_with('value("mass") < 1')
    readings = Readings(pack, None)
    for at, value in [(1, 5.0), (2, 4.0), (3, 3.0), (2, 8.0), (1, 7.0)]:
        readings.add("loss", at, value)
    facts = readings.facts()
    assert facts.series["train/loss"].values.tolist() == [7.0, 8.0, 3.0]
    assert facts.metrics["train/loss"].first == 7.0
    assert facts.metrics["train/loss"].best_step == 3


def test_twenty_thousand_points_and_five_rules_take_no_time_to_speak_of() -> None:
    conditions = ['last("m") > 9', 'pct("m") > 900', 'best("m") > 9', 'nan_count("m") > 9', 'n("m") > 90000']
    rules = [pack_with(when, readings=3) for when in conditions]
    series = {"m": series_of("m", np.arange(20_000), np.random.default_rng(0).random(20_000), Source.METRICS)}
    run = Summary(run_dir="run", series=series)
    begun = time.process_time()
    assert [fires_at(dead, run, pack) for pack, dead in rules] == [None] * 5
    assert time.process_time() - begun < 60  # a few seconds; a square of the length would be many minutes


VALUES = st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, math.nan, math.inf])
POINTS = st.lists(st.tuples(st.integers(0, 30), VALUES), max_size=25)
CONDITIONS = st.sampled_from(
    [
        'value("a") < 1',
        'last("a") > last("b")',
        'pct("a") > 10 or nan_count("b") >= 2',
        'best("a") < 0.5 and best_step("a") < 10',
        'slope("a", 4) > 0',
        'not exists("b") and n("a") > 2',
        'delta("b", 3) < 0 or first("a") / last("b") > 1',
        'value("a", 12) == value("b")',
    ]
)


@settings(max_examples=150, deadline=None)
@given(when=CONDITIONS, after=st.integers(0, 20), readings=st.integers(1, 4), a=POINTS, b=POINTS)
def test_playing_back_equals_looking_at_each_step_anew(
    when: str, after: int, readings: int, a: list[tuple[int, float]], b: list[tuple[int, float]]
) -> None:
    """The oracle cuts the series at each step, makes whole summaries of them, and asks the condition."""
    pack, dead = pack_with(when, after, readings)
    run = run_of(a=a, b=b)
    assert fires_at(dead, run, pack) == _slowly(run, pack, dead)


def _slowly(run: Summary, pack: Pack, stop: Stop) -> int | None:
    names = watched(stop.when, pack.canonical)
    steps = sorted({int(at) for name in names for at in run.series[name].steps})
    count = 0
    for at in steps:
        if at < stop.after:
            continue
        cut = {name: _until(one, at) for name, one in run.series.items() if (one.steps <= at).any()}
        summary = Summary(run_dir="run", series=cut, metrics=summarise(cut, pack.direction))
        truth = stop.when.evaluate(facts_of(summary, pack.canonical))
        count = count + 1 if truth is True else 0 if truth is False else count
        if truth is True and count >= stop.readings:
            return at
    return None


def _until(one: Series, at: int) -> Series:
    keep = one.steps <= at
    return Series(name=one.name, steps=one.steps[keep], values=one.values[keep], source=one.source)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 300])
def test_running_statistics_are_those_of_the_whole(size: int) -> None:
    pack, _ = pack_with('value("mass") < 1')
    rng = np.random.default_rng(size)
    values = np.where(rng.random(size) < 0.1, np.nan, rng.normal(size=size))
    readings = Readings(pack, None)
    for at, value in enumerate(values):
        readings.add("train/loss", at, float(value))
    if size:
        whole = series_of("train/loss", np.arange(size), values, Source.METRICS)
        assert readings.facts().metrics == summarise({"train/loss": whole}, pack.direction)
    else:
        assert readings.facts().metrics == {}
