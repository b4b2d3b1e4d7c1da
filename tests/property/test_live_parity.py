"""A live rule fires at the same step whether its run goes on, is played back, or is a case that somebody wrote."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.series import Source, series_of
from auto_loop.domain.stats import summarise
from auto_loop.domain.summary import Summary
from auto_loop.loop.live import LiveRules
from auto_loop.readers.base import Point
from auto_loop.rules.cases import live_rules
from auto_loop.rules.model import Pack
from auto_loop.rules.pack import parse

CONDITIONS = (
    'value("a") < 1',
    'nan_count("a") >= 2',
    'last("a") > last("b") and lr > 0',
    'slope("b", 3) > 0 or exists("b") and first("b") < 0',
    '1 / value("b") > 0.5',
)
RULES = st.lists(
    st.tuples(st.sampled_from(CONDITIONS), st.integers(0, 15), st.integers(1, 3), st.sampled_from(["stop", "warn"])),
    min_size=1,
    max_size=3,
)
VALUES = st.sampled_from([0.0, 1.0, -1.0, 2.0, math.nan, math.inf])
ROWS = st.dictionaries(st.integers(0, 25), st.dictionaries(st.sampled_from("ab"), VALUES, min_size=1), max_size=15)


def pack_of(rules: list[tuple[str, int, int, str]]) -> Pack:
    texts = []
    for at, (when, after, readings, then) in enumerate(rules):
        lines = [f"name = 'rule {at}'", f"when = '{when}'", f"after = {after}", f"for = {readings}", f"then = '{then}'"]
        texts.append("\n".join(["[[stop]]", *lines, "reason = 'r'"]))
    return parse("\n".join(["name = 'live'", *texts]), lambda name: f"name = '{name}'")


@settings(max_examples=200, deadline=None)
@given(rules=RULES, rows=ROWS, pieces=st.integers(1, 4))
def test_a_run_that_goes_on_and_one_played_back_are_judged_alike(
    rules: list[tuple[str, int, int, str]], rows: dict[int, dict[str, float]], pieces: int
) -> None:
    pack = pack_of(rules)
    points = [Point(name=name, step=at, value=value) for at in sorted(rows) for name, value in rows[at].items()]
    live = LiveRules(pack, {"lr": 0.1}, lambda: "")
    steps = sorted(rows)
    for begin in range(0, len(steps), pieces):  # rows come whole: each is a line of the log
        live.feed(point for point in points if point.step in steps[begin : begin + pieces])
    back = live_rules(pack, run_of(points))
    stopped = None if back.stopped is None else (back.stopped.stop.name, back.stopped.at)
    assert stopped == (None if live.verdict is None else (live.verdict.stop.name, live.verdict.at))
    if live.verdict is None:
        assert {one.stop.name for one in back.warned} == {one.stop.name for one in live.warnings}


def run_of(points: list[Point]) -> Summary:
    names = {point.name for point in points}
    chosen = {name: [point for point in points if point.name == name] for name in names}
    series = {
        name: series_of(name, [one.step for one in ones], [one.value for one in ones], Source.METRICS)
        for name, ones in chosen.items()
    }
    metrics = summarise(series, pack_of([]).direction)
    return Summary(run_dir="run", config=Config.of({"lr": 0.1}), series=series, metrics=metrics)
