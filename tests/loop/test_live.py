"""Live rules on one run: what fires where, whatever the slices in which the points come."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.job import Outcome
from auto_loop.domain.series import Source, series_of
from auto_loop.domain.stats import summarise
from auto_loop.domain.summary import Summary
from auto_loop.loop.live import LiveRules, without_metrics
from auto_loop.readers.base import Point
from auto_loop.rules.live import Readings, fires_at
from auto_loop.rules.model import Pack
from auto_loop.rules.pack import parse

RULES = """
[metrics."train/loss"]
aliases = ["a_loss"]

[[stop]]
name = "low mass"
when = 'value("mass") < 1e-6'
after = 30
for = 3
reason = "mass {value('mass')}"

[[stop]]
name = "rising"
when = 'slope("train/loss", 4) > lr and n("train/loss") >= 4'
for = 2
reason = "rising"

[[stop]]
name = "not a number"
when = 'nan_count("train/loss") >= 3'
reason = "{nan_count('train/loss')} are none"

[[stop]]
name = "hush"
when = 'best("train/loss") < 0.5 * first("train/loss")'
then = "warn"
reason = "halved"
"""
ALL = parse(RULES)


def with_only(pack: Pack, name: str) -> Pack:
    return replace(pack, stops=tuple(one for one in pack.stops if one.name == name))


def points(**columns: Sequence[float]) -> list[Point]:
    """Rows at steps 10, 20, ...; a metric's name has `__` for its slash."""
    longest = max(map(len, columns.values()))
    rows = range(longest)
    return [
        Point(name=name.replace("__", "/"), step=10 * (at + 1), value=values[at])
        for at in rows
        for name, values in columns.items()
        if at < len(values)
    ]


def judged(pack: Pack, slices: Sequence[Sequence[Point]], log: str = "") -> LiveRules:
    rules = LiveRules(pack, {"lr": 0.001}, lambda: log)
    for one in slices:
        rules.feed(one)
        while rules.behind:
            rules.feed(())
    return rules


def fired(rules: LiveRules) -> tuple[str, int] | None:
    return None if rules.verdict is None else (rules.verdict.stop.name, rules.verdict.at)


def test_it_fires_at_the_reading_that_makes_it_enough_in_a_row_from_its_step_on() -> None:
    mass = points(mass=[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    rules = judged(with_only(ALL, "low mass"), [mass])
    assert fired(rules) == ("low mass", 80)
    assert rules.verdict is not None
    assert rules.verdict.text == "live rule 'low mass' at step 80: mass 0"


@pytest.mark.parametrize("seed", range(20))
def test_slices_make_no_difference_and_old_runs_say_the_same(seed: int) -> None:
    dice = random.Random(seed)
    mass = [dice.choice([0.0, 0.0, 0.0, 1.0]) for _ in range(60)]
    loss = [dice.choice([math.nan, 1.0, 2.0, dice.random()]) if dice.random() < 0.3 else at / 50 for at in range(60)]
    whole = points(mass=mass, train__loss=loss)
    for stop in ALL.stops:
        pack = with_only(ALL, stop.name)
        at_once = judged(pack, [whole])
        in_bits = judged(pack, list(bits(whole, dice)))
        assert fired(at_once) == fired(in_bits)
        assert [one.at for one in at_once.warnings] == [one.at for one in in_bits.warnings]
        found = at_once.verdict or next(iter(at_once.warnings), None)
        assert (found.at if found else None) == fires_at(stop, summary(mass=mass, train__loss=loss), pack)


def bits(whole: Sequence[Point], dice: random.Random) -> Iterator[Sequence[Point]]:
    at = 0
    while at < len(whole):
        size = dice.randint(1, 9)
        yield whole[at : at + size]
        at += size


def summary(**columns: Sequence[float]) -> Summary:
    series = {
        name.replace("__", "/"): series_of(
            name.replace("__", "/"), [10 * (at + 1) for at in range(len(values))], values, Source.METRICS
        )
        for name, values in columns.items()
    }
    return Summary(
        run_dir="r",
        outcome=Outcome.SUCCEEDED,
        config=Config.of({"lr": 0.001}),
        series=series,
        metrics=summarise(series, ALL.direction),
    )


def test_several_at_one_step_the_first_of_the_pack_decides_and_an_earlier_step_goes_before_that() -> None:
    mass, nans = [1.0, 1.0, 0.0, 0.0, 0.0], [math.nan] * 5
    assert fired(judged(ALL, [points(mass=mass, train__loss=[1.0, 1.0, *nans[:3]])])) == ("low mass", 50)
    assert fired(judged(ALL, [points(mass=mass, train__loss=nans)])) == ("not a number", 30)


def test_a_warning_is_given_once_and_does_not_end_the_judging() -> None:
    rules = judged(ALL, [points(train__loss=[1.0, 0.1, 0.1, 0.1, math.nan, math.nan, math.nan])])
    assert [(one.stop.name, one.at) for one in rules.warnings] == [("hush", 20)]
    assert fired(rules) == ("not a number", 70)


def test_after_its_verdict_a_run_is_judged_no_more() -> None:
    rules = judged(ALL, [points(train__loss=[math.nan] * 3), points(mass=[0.0] * 9)])
    assert fired(rules) == ("not a number", 30)
    assert rules.verdict is not None
    assert rules.verdict.facts.metrics["train/loss"].nan_count == 3


def test_a_metrics_own_name_goes_before_its_alias() -> None:
    pack = with_only(ALL, "rising")
    falling = [1.0 - at / 100 for at in range(30)]
    rising = [at / 10 for at in range(30)]
    assert fired(judged(pack, [points(a_loss=rising)])) == ("rising", 50)
    assert fired(judged(pack, [points(a_loss=rising, train__loss=falling)])) is None
    assert fired(judged(pack, [points(train__loss=falling, a_loss=rising)])) is None


def test_unknown_is_neither_a_reading_that_counts_nor_one_that_begins_anew() -> None:
    pack = parse(
        '[[stop]]\nname = "s"\nwhen = \'last("a") / last("b") > 1\'\nfor = 2\nreason = "r {last(\'never\')}"\n'
    )
    rows = [*points(a=[2.0, 2.0]), Point(name="b", step=30, value=0.0), Point(name="b", step=40, value=1.0)]
    rules = judged(pack, [[*rows, Point(name="b", step=50, value=0.0), Point(name="b", step=60, value=1.0)]])
    assert fired(rules) == ("s", 60)
    assert rules.verdict is not None
    assert rules.verdict.text.endswith("r unknown")


def test_the_log_is_read_for_a_rule_that_asks_for_it_at_every_reading_of_any_metric() -> None:
    pack = parse('[[stop]]\nname = "s"\nwhen = \'log_matches("diverged")\'\nfor = 2\nreason = "r"\n')
    assert fired(judged(pack, [points(x=[1.0, 1.0])], log="it\ndiverged\n")) == ("s", 20)
    assert fired(judged(pack, [points(x=[1.0, 1.0])], log="all is well")) is None

    def never() -> str:
        raise AssertionError("nobody asked for the log")

    LiveRules(ALL, {}, never).feed(points(train__loss=[1.0, 2.0]))


def test_a_long_run_keeps_its_newest_points_and_the_counts_of_all() -> None:
    pack = parse(
        '[[stop]]\nname = "s"\nreason = "r"\nwhen = \'n("x") == 5000 and first("x") == 7 and best("loss") == 0.5 '
        'and nan_count("x") == 1 and abs(slope("x", 50) - 0.2) < 1e-9 and value("x", 49990) > 0\'\n'
    )
    values = [7.0, math.nan, *(at * 2.0 for at in range(3, 5002))]
    loss = [0.5, *([1.0] * 5000)]
    rules = judged(pack, [points(x=values, loss=loss)])
    assert fired(rules) == ("s", 50010)


@pytest.mark.parametrize(
    ("when", "lacks"),
    [
        ('last("b") > 1', ("b",)),
        ('last("a") > 1 and last("b") > 1', ("b",)),
        ('last("a") > 1 or last("b") > 1', None),
        ('not (last("a") > 1 or last("b") > 1)', ("b",)),
        ('last("a") > 1 and not (exists("b") and last("b") > 1)', None),
        ('exists("b") or last("c") > 1', ("c",)),
        ('log_matches("x")', None),
        ('any(last("d/*") > x.*)', ("d/*",)),
        ('any(last("e/*") > x.*)', None),
    ],
)
def test_a_rule_lacks_metrics_where_without_them_it_could_not_have_fired(
    when: str, lacks: tuple[str, ...] | None
) -> None:
    pack = parse(f'[[stop]]\nname = "s"\nwhen = \'{when}\'\nreason = "r"\n')
    found = without_metrics(pack, summary(a=[1.0], e__1=[1.0]))
    assert found.get("s") == lacks
    stopped = replace(summary(a=[1.0], e__1=[1.0]), outcome=Outcome.STOPPED)
    assert without_metrics(pack, stopped) == {}


def test_what_is_kept_of_a_metric_is_bounded_and_its_counts_are_those_of_all() -> None:
    readings = Readings(ALL, None, most=8)
    for step in range(1, 1001):
        readings.add("train/loss", step, math.nan if step % 10 == 0 else 1000.0 - step)
        facts = readings.facts()
        assert min(step, 8) <= len(facts.series["train/loss"].steps) <= 16
    kept = readings.facts().series["train/loss"]
    assert kept.steps.tolist() == list(range(1001 - len(kept.steps), 1001))
    readings.add("train/loss", 995, 500.0)
    stats = readings.facts().metrics["train/loss"]
    assert (stats.first, stats.best, stats.best_step, stats.nan_count, stats.n) == (999.0, 1.0, 999, 100, 901)
    assert readings.facts().series["train/loss"].values[kept.steps.tolist().index(995)] == 500.0
    assert kept.values[kept.steps.tolist().index(995)] == 5.0, "what was handed out stays as it was"
