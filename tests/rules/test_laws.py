"""Laws: what is foreseen for a changed config, and when nothing is."""

import json
from typing import Any

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.paths import parse_path
from auto_loop.domain.summary import summary_from_json
from auto_loop.rules.engine import fire
from auto_loop.rules.facts import facts_of
from auto_loop.rules.laws import predictions, why_unforeseen
from auto_loop.rules.pack import parse
from auto_loop.rules.recorded import facts_of_readings

PACK = parse("""
[metrics.mass]
aliases = ["m"]
[[law]]
metric = "m"
value = 'last("mass") * s / next.s'
when = 'next.kind == kind'
[[law]]
metric = "mass"
value = '-1'
[[law]]
metric = "cost"
value = 'sum(next.f.*.w / f.*.w * last("cost/*"))'
[[law]]
metric = "lost"
value = '1 / next.zero'
[[rule]]
name = "aims at nothing known"
when = 'last("mass") < 0'
reason = "r"
change = { "s@mul" = { expr = "2", predict = "no law of this" } }
""")
CONFIG: dict[str, Any] = {"s": 2.0, "kind": "a", "zero": 0, "f": [{"w": 1.0}, {"w": 0.5}]}
RUN = summary_from_json(
    {"config": CONFIG, "metrics": {"m": {"last": -6.0}, "cost/0": {"last": 10.0}, "cost/1": {"last": 20.0}}}
)


def foreseen(changed: dict[str, Any], pack: Any = PACK, run: Any = RUN) -> dict[str, float]:
    return predictions(pack, facts_of(run, pack.canonical), Config.of(changed))


def test_next_is_the_changed_config_and_everything_else_the_parent_s() -> None:
    changed = {**CONFIG, "s": 4.0, "f": [{"w": 0.1}, {"w": 1.0}]}
    assert foreseen(changed) == {"mass": -3.0, "cost": 41.0}


def test_of_several_laws_the_first_that_speaks_counts() -> None:
    assert foreseen({**CONFIG, "kind": "b"})["mass"] == -1.0


def test_a_law_that_lacks_something_is_silent() -> None:
    assert foreseen({"s": 0, "kind": "a"}) == {"mass": -1.0}
    assert foreseen({}, run=summary_from_json({})) == {"mass": -1.0}
    assert "lost" not in foreseen(CONFIG)


def test_a_config_with_a_key_called_next_keeps_it_in_rules_and_in_the_changed_config() -> None:
    pack = parse("""
[[rule]]
name = "r"
when = 'next.a > 1 and next.next == 3'
reason = "{next.a}"
change = { "next.a" = 1 }
[[law]]
metric = "x"
value = 'next.next.a * 10'
""")
    run = summary_from_json({"config": {"next": {"a": 2, "next": 3}}})
    (proposal,) = fire(pack, run).proposals
    assert proposal.reason == "2"
    assert foreseen({"next": {"a": 5}}, pack, run) == {"x": 50.0}


def test_what_a_computed_change_aims_at_need_not_have_a_law() -> None:
    (proposal,) = fire(PACK, RUN).proposals
    assert proposal.evidence["predicts"] == ["no law of this"]
    assert "no law of this" not in foreseen(CONFIG)


def test_recorded_readings_foresee_the_same() -> None:
    readings = json.loads(json.dumps(fire(PACK, RUN).readings, allow_nan=False))
    changed = Config.of({**CONFIG, "s": 3.0, "f": [{"w": 0.3}, {"w": 0.2}]})
    facts = facts_of_readings(readings, Config.of(CONFIG), PACK.canonical)
    assert predictions(PACK, facts, changed) == foreseen(changed.data())
    assert len(foreseen(changed.data())) == 2


ONLY = parse("""
[guardrails]
ignore = ["seed", "log"]
[[law]]
metric = "m"
value = '1'
only = ["s", "f.*.w", "deep"]
""")
PARENT: dict[str, Any] = {
    "s": 2,
    "on": True,
    "f": [{"w": 1.0}, {"w": 0.5, "d": 1}],
    "deep": {"a": 1},
    "seed": 1,
    "x": None,
}


@pytest.mark.parametrize(
    ("changed", "speaks"),
    [
        ({}, True),
        ({"s": 3}, True),
        ({"s": "text"}, True),
        ({"s": 2.0, "seed": 7, "log": {"dir": "here"}}, True),  # what the guardrails ignore
        ({"f": [{"w": 9.0}, {"w": 0.5, "d": 1.0}]}, True),
        ({"f": [{"w": 9.0}, {"w": 0.5, "d": 2}]}, False),
        ({"f": [{"w": 9.0}, {"w": 0.5}]}, False),  # a place vanishes
        ({"f": [{"w": 1.0}, {"w": 0.5, "d": 1, "e": None}]}, False),  # one appears
        ({"f": [{}, {"w": 0.5, "d": 1}]}, True),  # one vanishes that it speaks of
        ({"f": [{"w": 1.0}]}, False),  # a change at the list
        ({"f": {"0": {"w": 1.0}}}, False),
        ({"deep": {"a": 2, "b": {"c": []}}}, True),
        ({"deep": 3}, True),
        ({"on": 1}, False),  # true is no number
        ({"x": 0}, False),
        ({"new": 1}, False),
    ],
)
def test_a_law_speaks_only_of_changes_at_its_places(changed: dict[str, Any], speaks: bool) -> None:
    run = summary_from_json({"config": PARENT})
    assert foreseen({**PARENT, **changed}, ONLY, run) == ({"m": 1.0} if speaks else {})


def test_without_the_parent_s_config_a_law_of_some_places_is_silent() -> None:
    assert foreseen(PARENT, ONLY, summary_from_json({})) == {}


def test_what_a_profile_ignores_beside_the_pack_is_no_change() -> None:
    facts, changed = facts_of(summary_from_json({"config": PARENT}), str), Config.of({**PARENT, "on": False})
    assert predictions(ONLY, facts, changed, [*ONLY.guardrails.ignore, parse_path("on")]) == {"m": 1.0}
    assert predictions(ONLY, facts, changed) == {}


def law(value: str, bound: str = "", when: str = "") -> str:
    more = (f'bound = "{bound}"\n' if bound else "") + (f"when = '{when}'\n" if when else "")
    return f'[[law]]\nmetric = "m"\nname = "{value} {bound} {when}"\nvalue = \'{value}\'\n{more}'


@pytest.mark.parametrize(
    ("laws", "value"),
    [
        ([law("1", "lower"), law("3", "lower"), law("2", "lower")], 3.0),
        ([law("2", "upper"), law("1", "upper"), law("3", "upper")], 1.0),
        ([law("1"), law("3")], 1.0),
        ([law("1", "lower"), law("9"), law("0", "upper"), law("3", "lower")], 3.0),
        ([law("5"), law("9", "lower"), law("0", "upper")], 5.0),
        ([law("0", "upper", "s > 5"), law("1 / 0", "upper"), law("1", "lower"), law("-3", "upper")], 1.0),
        ([law("1 / 0", "lower"), law("2", "lower")], 2.0),
    ],
)
def test_of_bounds_the_tightest_counts_and_the_first_that_speaks_says_which(laws: list[str], value: float) -> None:
    assert foreseen(PARENT, parse("\n".join(laws)), summary_from_json({"config": PARENT})) == {"m": value}


def test_why_no_law_speaks_is_said_law_by_law() -> None:
    pack = parse("""
[[law]]
metric = "m"
name = "one"
value = '1'
when = 's > 5'
[[law]]
metric = "m"
name = "two"
value = 'last("q")'
[[law]]
metric = "m"
value = '1'
only = ["s"]
""")
    facts = facts_of(summary_from_json({"config": PARENT}), str)
    assert list(why_unforeseen(pack, facts, Config.of({**PARENT, "on": False, "new": 1}), "m")) == [
        "law 1 for it, 'one', is silent: s = 2, needs > 5",
        "law 2 for it, 'two', lacks last(\"q\")",
        "law 3 for it is silent: on, new changed, of which it does not speak",
    ]


def test_a_law_is_extended_by_metric_and_name_and_without_one_by_the_case_that_it_is_for() -> None:
    base = """
[[law]]
metric = "m"
name = "a"
value = '1'
[[law]]
metric = "other"
name = "a"
value = '2'
[[law]]
metric = "m"
only = ["x", "y"]
value = '3'
[[law]]
metric = "m"
value = '4'
"""
    own = """
extends = ["base"]
[[law]]
metric = "m"
name = "a"
when = 'x > 1'
only = ["x"]
bound = "upper"
value = '10'
[[law]]
metric = "m"
only = ["y", "x"]
value = '30'
"""
    pack = parse(own, {"base": base, "default": "name = 'default'"}.__getitem__)
    assert [(law.metric, law.name, law.value.text) for law in pack.laws] == [
        ("m", "a", "10"),
        ("m", "", "30"),
        ("other", "a", "2"),
        ("m", "", "4"),
    ]


def test_faults_of_a_law_s_places_and_bound_come_with_line_and_pointer() -> None:
    text = """[[law]]
metric = "a"
value = "1"
only = ["ot.reg", "features.*weight"]
[[law]]
metric = "b"
value = "1"
only = []
bound = "low"
[[law]]
metric = "c"
value = "1"
only = "ot.reg"
name = 3
[[law]]
metric = "d"
name = "twice"
value = "1"
[[law]]
metric = "d"
name = "twice"
when = "x > 1"
value = "2"
"""
    with pytest.raises(MisuseError) as caught:
        parse(text)
    found = [fault.render() for fault in caught.value.faults]
    for line, what in [
        ("line 4, law 1 only", "features.*weight\n"),
        ("line 4, law 1 only", "^"),
        ("line 8, law 2 only", "names no place"),
        ("line 9, law 2 bound", "'low' is none of lower, upper"),
        ("line 13, law 3 only", "takes a list"),
        ("line 14, law 3 name", "takes a text"),
        ("law", "two of them are of 'd' and are named 'twice'"),
    ]:
        assert any(line in fault and what in fault for fault in found), (line, what, found)
    assert len(found) == 6
