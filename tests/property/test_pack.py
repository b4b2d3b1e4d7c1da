"""A damaged pack is a misuse with its faults, whatever the damage; never another error."""

from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.errors import MisuseError
from auto_loop.rules.pack import parse, shipped_text

LINES = shipped_text("act_ot").splitlines()
SCRAPS = [
    "",
    "[",
    "]]",
    "[[rule]]",
    "[rule]",
    "[metrics]",
    "name = 3",
    'when = "1 <"',
    "change = []",
    "change = 3",
    "'''",
    "key = [1]",
    'x = { min = "a" }',
    "[[guardrails]]",
    "guardrails = 1",
    "extends = 'a'",
    "extends = ['x']",
    "\x00",
    "band = [nan, inf]",
    "priority = 1e400",
    "[metrics.a.b]",
    "when = 1979-05-27",
]
DAMAGE = st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.sampled_from(SCRAPS) | st.text(max_size=8)), max_size=4)


@settings(max_examples=60, deadline=None)
@given(DAMAGE, st.booleans())
def test_a_damaged_pack_parses_or_is_a_misuse(damage: list[tuple[int, str]], insert: bool) -> None:
    lines = list(LINES)
    for at, text in damage:
        if insert:
            lines.insert(at, text)
        else:
            lines[at] = text
    try:
        parse("\n".join(lines))
    except MisuseError:
        return


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(SCRAPS), max_size=6))
def test_scraps_parse_or_are_a_misuse(scraps: list[str]) -> None:
    try:
        parse("\n".join(scraps))
    except MisuseError:
        return
