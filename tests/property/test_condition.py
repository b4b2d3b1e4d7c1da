"""Laws of the condition language: no text makes it fail in any other way than by MisuseError, and Kleene's logic."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.errors import MisuseError
from auto_loop.domain.series import Source
from auto_loop.domain.summary import MetricStats
from auto_loop.rules.condition import parse_any, parse_condition
from auto_loop.rules.evaluate import conjunction, disjunction, negation
from auto_loop.rules.facts import Facts
from auto_loop.rules.nodes import UNKNOWN, Unknown, Value
from auto_loop.rules.template import parse_template

WORDS = """and or not ( ) , + - * / % ** < <= > >= == != = & 0 1 2.5 1e-6 1e308 1e999 .5 true null "m" 'q' "(" "
    last first best pct slope value exists log_matches any all sum count max min round ln exp a a.b a.0
    a.*.c a.*.*.c a["x y"] a..b item.w last("m") value("m",3) any(a.*.c>1) max(a.*.c)
    any(a.*.c>last("m/*")) next.a.*.c ln(0) 1/0 \n # é ✗"""
PIECES = st.sampled_from(WORDS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abcw0"), below, max_size=3),
    max_leaves=8,
)
CONFIGS = st.dictionaries(st.sampled_from(["a", "item", "b"]), JSON, max_size=3)
NUMBERS = st.none() | st.floats()
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
FACTS = st.builds(
    Facts,
    metrics=st.dictionaries(st.sampled_from(["m", "q"]), STATS, max_size=2),
    config=st.none() | CONFIGS,
    log_tail=st.none() | st.just("x"),
)
TRUTH = st.sampled_from([True, False, UNKNOWN])


@given(st.lists(PIECES, max_size=12), FACTS)
def test_any_words_parse_and_evaluate_or_are_a_misuse(pieces: list[str], facts: Facts) -> None:
    text = " ".join(pieces)
    try:
        found = parse_any(text)
    except MisuseError:
        return
    value = found.evaluate(facts)
    assert isinstance(value, Unknown | bool | float | int | str | list | dict | None)
    assert found.shortfall(facts).distance >= 0
    assert (found.shortfall(facts).distance == 0) == found.holds(facts)
    found.missing(facts)


@given(st.text(max_size=40))
def test_any_text_parses_or_is_a_misuse(text: str) -> None:
    for parse in (parse_condition, parse_template):
        try:
            parse(text)
        except MisuseError:
            continue


@given(TRUTH, TRUTH, TRUTH)
def test_kleene_s_laws(a: Value, b: Value, c: Value) -> None:
    assert conjunction([a, b]) == conjunction([b, a])
    assert disjunction([a, b]) == disjunction([b, a])
    assert conjunction([a, conjunction([b, c])]) == conjunction([a, b, c])
    assert negation(negation(a)) == a
    assert negation(conjunction([a, b])) == disjunction([negation(a), negation(b)])
    assert conjunction([a, disjunction([b, c])]) == disjunction([conjunction([a, b]), conjunction([a, c])])
    assert conjunction([a, True]) == a
    assert disjunction([a, False]) == a


@given(TRUTH, TRUTH)
def test_what_is_decided_stays_decided_when_more_becomes_known(a: Value, b: Any) -> None:
    for fold in (conjunction, disjunction):
        before = fold([a, UNKNOWN])
        assert before is UNKNOWN or fold([a, b]) is before


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_comparison_and_its_contrary_never_both_hold(a: float, b: float) -> None:
    facts = Facts(config={"a": a, "b": b})
    for op, contrary in (("<", ">="), ("<=", ">"), ("==", "!=")):
        assert parse_any(f"a {op} b").holds(facts) != parse_any(f"a {contrary} b").holds(facts)
