from typing import Any

import numpy as np
import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.domain.series import Series, Source
from auto_loop.domain.summary import MetricStats
from auto_loop.rules.condition import parse_any, parse_condition, parse_formula
from auto_loop.rules.facts import Facts
from auto_loop.rules.nodes import UNKNOWN

CONFIG: dict[str, Any] = {
    "seed": 7,
    "name": "base",
    "ot": {
        "reg": 0.3,
        "topk": None,
        "heuristic": False,
        "features": [
            {"w": 1.0, "e": True, "name": "image"},
            {"w": 0.0, "e": False, "name": "action"},
        ],
        "a b": 3,
        "empty": [],
    },
}


def stats(last: float | None, first: float | None = None, **more: Any) -> MetricStats:
    known = {"best": None, "best_step": None, "delta": None, "pct": None, "n": 5, "nan_count": 0}
    return MetricStats(first=first, last=last, source=more.pop("source", Source.METRICS), **{**known, **more})


FACTS = Facts(
    config=CONFIG,
    metrics={
        "mass": stats(1e-7, 1e-3, best=1e-3, best_step=50, delta=-1e-3, pct=-99.99),
        "zero": stats(0.0, 0.0, delta=0.0),
        "final": stats(3.0, 1.0, delta=2.0, pct=200.0, source=Source.FINAL_ONLY),
    },
    series={
        "line": Series(
            name="line",
            steps=np.array([10, 20, 30, 40]),
            values=np.array([1.0, 2.0, np.nan, 4.0]),
            source=Source.METRICS,
        )
    },
    log_tail="step 1\nsinkhorn did not converge\n",
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("7 % 4 - 1 / 4", 2.75),
        ("--3", 3),
        ("1e-3 < .002 <= 2.e-3", True),
        ("1 < 3 < 2", False),
        ("not 1 < 2 or 2 > 1 and 1 > 0", True),
        ("true == True and null == None and false != true", True),
        ("name == \"base\" and name != 'other'", True),
        ("ot.reg * 10", 3),
        ('ot["a b"]', 3),
        ("ot.features.1.name", "action"),
        ("ot.topk == null", True),
        ("ot.topk > 3", UNKNOWN),
        ("ot.heuristic == 0", False),
        ("ot.heuristic + 1 > 0", UNKNOWN),
        ("name > 1", UNKNOWN),
        ("ot.missing < 1", UNKNOWN),
        ("ot.features.7.w", UNKNOWN),
        ("name.below", UNKNOWN),
        ("ot.missing < 1 and 1 > 2", False),
        ("ot.missing < 1 or 2 > 1", True),
        ("not ot.missing < 1", UNKNOWN),
        ("ot.missing < 1 and 2 > 1", UNKNOWN),
        ("1 / 0 > 1", UNKNOWN),
        ("0 ** -1 > 1", UNKNOWN),
        ("(-8) ** 0.5 > 0", UNKNOWN),
        ("10 ** 400 > 0", UNKNOWN),
        ("ln(0) < 0", UNKNOWN),
        ("sqrt(-1) < 0", UNKNOWN),
        ("exp(1000) > 0", UNKNOWN),
        ("ln(exp(2)) + log10(100) + sqrt(9) + abs(-1)", 8),
        ("round(2.5) + round(-2.5) + floor(1.9) + ceil(1.1)", 3),
        ("min(3, 1, 2) + max(3, 1, 2) + max(2)", 6),
        ('last("mass") < 1e-6', True),
        ('first("mass") - best("mass")', 0),
        ('best_step("mass") + n("mass") + nan_count("mass")', 55),
        ('delta("mass") < 0 and pct("mass") < -99', True),
        ('pct("zero") < 1', UNKNOWN),
        ('last("nothing") < 1', UNKNOWN),
        ('last("final")', 3),
        ('delta("final") > 0', UNKNOWN),
        ('first("final") > 0', UNKNOWN),
        ('pct("final") > 0', UNKNOWN),
        ('exists("mass") and not exists("nothing")', True),
        ("exists(ot.reg) and exists(ot.topk) and not exists(ot.nothing)", True),
        ('slope("line")', 0.1),
        ('slope("line", 2)', 0.1),
        ('slope("mass") > 0', UNKNOWN),
        ('delta("line", 2)', 2),
        ('pct("line", 3)', 300),
        ('pct("line", 9) > 0', UNKNOWN),
        ('value("line", 35)', 2),
        ('value("line", 40)', 4),
        ('value("line", 5) > 0', UNKNOWN),
        ('value("mass")', 1e-7),
        ('log_matches("did not con+verge")', True),
        ('log_matches("^diverged")', False),
        ("any(not ot.features.*.e and ot.features.*.w == 0)", True),
        ("any(ot.features.*.e and ot.features.*.w == 0)", False),
        ("all(ot.features.*.w >= 0)", True),
        ("count(ot.features.*.w > 0)", 1),
        ("sum(ot.features.*.w) + max(ot.features.*.w) + min(ot.features.*.w)", 2),
        ("any(ot.empty.*.w > 0) or all(ot.empty.*.w > 0)", True),
        ("max(ot.empty.*.w) > 0", UNKNOWN),
        ("any(ot.nothing.*.w > 0)", UNKNOWN),
        ("all(ot.features.*.gone == 1)", UNKNOWN),
        ("any(ot.features.*.gone == 1 or ot.features.*.e)", True),
    ],
)
def test_value(text: str, value: Any) -> None:
    found = parse_any(text).evaluate(FACTS)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)
    assert isinstance(found, bool) == isinstance(value, bool)


def test_without_a_config_what_asks_for_it_is_unknown() -> None:
    bare = Facts(metrics=FACTS.metrics)
    assert parse_any("ot.reg < 1").evaluate(bare) is UNKNOWN
    assert parse_any("exists(ot.reg)").evaluate(bare) is UNKNOWN
    assert parse_any('log_matches("x")').evaluate(bare) is UNKNOWN
    assert parse_any('last("mass") < 1').evaluate(bare) is True


@pytest.mark.parametrize(
    ("text", "under", "what"),
    [
        ("1 +", "^", "ends too early"),
        ("1 = 2", "^", "'=' does not belong"),
        ("1 < 2 && 3 < 4", "^", "'&' does not belong"),
        ("(1 < 2", "^", "expected ')'"),
        ("1 < 2 3", "^", "after the end"),
        ("1 < 2)", "^", "after the end"),
        ("last(x) < 1", "^", "name in quotes"),
        ('lst("x") < 1', "~~~~~~~^", "did you mean last"),
        ("last() < 1", "~~~~~^", "takes 1 argument"),
        ('last("x", 2) < 1', "~~~~~~~~~~~^", "takes 1 argument"),
        ("ot.*.w > 1", "~~~~~^", "`*` stands for many"),
        ("any(ot.reg > 1)", "~~~~~~~~~~~~~~^", "folds the items"),
        ("any(a.*.x > b.*.x)", "~~~~~~~~~~~~~~~~~^", "different lists"),
        ("any(any(a.*.x > 1))", "~~~~~~~~~~~~~~~~~~^", "folded again"),
        ("any(a.*.b.* > 1)", "~~~~~~^", "more than one `*`"),
        ("1 and 2 > 1", "^", "this is a number"),
        ("(1 < 2) + 1 > 2", "~~~~~~^", "this is a condition"),
        ('"a" < 1', "~~^", "this is a text"),
        ("not 3", "^", "this is a number"),
        ('log_matches("(") or 1 < 2', "~~^", "not a regular expression"),
        ('"open', "~~~~^", "not closed"),
        ("ot.reg", "", ""),
        ("1 + 1", "~~~~^", "a condition is needed"),
        ("1e999 > 1", "~~~~^", "too large"),
        ("and 1 < 2", "~~^", "expected a value"),
        ("", "^", "ends too early"),
    ],
)
def test_a_fault_points_at_its_place(text: str, under: str, what: str) -> None:
    if not what:
        assert parse_condition(text).text == text
        return
    with pytest.raises(MisuseError) as caught:
        parse_condition(text)
    (fault, *_) = caught.value.faults
    assert what in fault.what + fault.hint
    line, marks = fault.pointer.splitlines()
    assert line == f"    {text}"
    assert marks.strip() == under


def test_all_faults_of_a_text_are_told_at_once() -> None:
    with pytest.raises(MisuseError) as caught:
        parse_condition('foo(1) > 1 and 3 and last(x) > 1 and ot.*.w > "a"')
    assert len(caught.value.faults) == 5


def test_a_fault_in_a_text_of_several_lines_points_into_the_right_one() -> None:
    with pytest.raises(MisuseError) as caught:
        parse_condition('last("a") > 1\n  and foo(2)')
    assert caught.value.faults[0].pointer == "      and foo(2)\n          ~~~~~^"


@pytest.mark.parametrize("text", ["(" * 5000, "not " * 5000, "-" * 5000, "1+" * 5000, "1**" * 250])
def test_no_text_exhausts_the_stack(text: str) -> None:
    with pytest.raises(MisuseError):
        parse_condition(text + "1 < 2" if not text.startswith("(") else text)


def test_the_longest_expression_that_parses_is_also_evaluated() -> None:
    long = parse_formula("+".join(["1"] * 150))
    assert long.number(FACTS) == 150
    deep = parse_condition("(" * 38 + "1 < 2" + ")" * 38)
    assert deep.holds(FACTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('last("mass") > 1e-6', 'last("mass") = 1e-07, needs > 1e-06'),
        ('last("mass") < 1e-6 and ot.reg > 0.4', "ot.reg = 0.3, needs > 0.4"),
        ('last("mass") < 1e-6 and not ot.reg < 0.4', "ot.reg = 0.3, needs >= 0.4"),
        ("ot.reg > 3 or ot.reg > 0.31", "ot.reg = 0.3, needs > 0.31"),
        ("1e-3 <= ot.reg < 0.2", "ot.reg = 0.3, needs < 0.2"),
        ("0.4 <= ot.reg < 0.5", "ot.reg = 0.3, needs >= 0.4"),
        ("ot.reg > seed", "ot.reg = 0.3, needs > seed = 7"),
        ("ot.reg < -50", "ot.reg = 0.3, needs < -50"),
        ("-50 >= ot.reg", "ot.reg = 0.3, needs <= -50"),
        ("ot.reg < -seed", "ot.reg = 0.3, needs < -seed = -7"),
        ('last("gone") > 1', 'last("gone") = unknown, needs > 1'),
        ('exists("gone")', 'exists("gone") is false, needs true'),
        ("not ot.heuristic == false", "ot.heuristic = false, needs != false"),
    ],
)
def test_why_it_does_not_hold(text: str, says: str) -> None:
    found = parse_condition(text).shortfall(FACTS)
    assert found.says == says
    assert found.distance > 0


def test_what_holds_lacks_nothing() -> None:
    assert parse_condition("ot.reg < 1").shortfall(FACTS).distance == 0


def test_the_nearer_value_is_at_the_lesser_distance() -> None:
    distances = [parse_condition(f"ot.reg > {bound}").shortfall(FACTS).distance for bound in (0.31, 0.5, 3, 300)]
    assert distances == sorted(distances)
    assert len(set(distances)) == 4


def test_what_is_missing_is_named_once() -> None:
    text = 'last("gone") > 1 and last("gone") < 3 and ot.nothing > 1 and ot.reg > 1'
    assert parse_condition(text).missing(FACTS) == ('last("gone")', "ot.nothing")


def test_the_metrics_and_readings_of_an_expression() -> None:
    found = parse_condition('last("a") > first("b") and last("a") < 3')
    assert found.metrics == ("a", "b")
    assert [reading.text for reading in found.readings] == ['last("a")', 'first("b")']
