"""The end of a log."""

from hypothesis import given
from hypothesis import strategies as st

from auto_loop.reporting.excerpt import LINES, WIDTH, excerpt


def test_colours_bars_and_blank_lines_go() -> None:
    log = "\x1b[1;31mred\x1b[0m\n\n 1%|#\r 2%|##\r\nlink \x1b]8;;http://x\x07here\x1b]8;;\x07\x1b(B\n\t\n"
    assert excerpt(log) == ("red", " 2%|##", "link here")


def test_a_secret_that_is_parted_by_a_colour_or_by_the_line_s_end_is_masked() -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    assert excerpt(f"key {key[:20]}\x1b[0m{key[20:]}") == ("key ***",)
    assert key[:4] not in excerpt(f"{'x ' * (WIDTH // 2 - 5)}{key}")[0]
    assert excerpt("the word opensesame is out", known=["opensesame"]) == ("the word *** is out",)


@given(st.text(st.sampled_from("a \n\r\t\x1b[]m0;\x07\x9b|`")))
def test_an_excerpt_is_short_clean_and_says_something(text: str) -> None:
    lines = excerpt(text)
    assert len(lines) <= LINES
    for line in lines:
        assert line.strip()
        assert len(line) <= WIDTH
        assert not set(line) & set("\n\r\x1b\t")
