"""Whatever text is put in, the Markdown shows it and keeps its shape; a parser of its own is the judge."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from auto_loop.reporting.markdown import block, code, cut, inline, link, plain, table, with_code

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# Text made of what Markdown, HTML, terminals and Unicode could be broken with, and text of any kind.
NASTY = (
    st.text(st.sampled_from("|`*_[]()<>~\\#-+=1. \n\r\t&;!{}$:@\"'\x00\x1b\x85\u2028\u202e\ud800aBé漢🙂")) | st.text()
)


def cells(tokens: list[Token]) -> list[list[Token]]:
    return [token.children or [] for token in tokens if token.type == "inline"]


@given(st.lists(st.tuples(NASTY, NASTY), min_size=1, max_size=4))
def test_a_table_keeps_its_cells_and_shows_their_text(rows: list[tuple[str, str]]) -> None:
    lines = table(["a", "b"], [[f"x{inline(left)}", f"{code(right)}x"] for left, right in rows])
    tokens = PARSER.parse("\n".join([*lines, "", "after"]))
    assert [token.type for token in tokens].count("table_open") == 1
    assert tokens[-2].content == "after"
    found = cells(tokens)[2:-1]
    assert len(found) == 2 * len(rows)
    for (left, right), one, other in zip(rows, found[::2], found[1::2], strict=True):
        assert {token.type for token in one} <= {"text", "text_special"}
        assert "".join(token.content for token in one) == f"x{plain(left)}"
        assert "".join(token.content for token in other) == f"{plain(right)}x"
        assert not plain(right) or other[0].type == "code_inline"


@given(NASTY, NASTY)
def test_a_list_item_keeps_to_itself(text: str, span: str) -> None:
    tokens = PARSER.parse(f"- Why: {inline(text)}.\n- Log: {code(span)}.\n\nafter\n")
    assert [token.type for token in tokens].count("list_item_open") == 2
    why, log, after = cells(tokens)
    assert "".join(token.content for token in why) == f"Why: {plain(text)}."
    assert "".join(token.content for token in log) == f"Log: {plain(span)}."
    assert after[0].content == "after"


@given(st.lists(NASTY, max_size=5))
def test_no_line_closes_a_fenced_block(lines: list[str]) -> None:
    tokens = PARSER.parse("\n".join([*block(lines), "", "after"]))
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.count("\n") == len(lines)


@given(NASTY, st.integers(min_value=1, max_value=30))
def test_a_cut_text_is_one_line_of_at_most_its_width(text: str, width: int) -> None:
    short = cut(text, width)
    assert len(short) <= width
    assert "\n" not in short
    assert short == plain(text) or short.endswith("…")


@given(NASTY)
def test_every_text_can_be_written_as_utf_8(text: str) -> None:
    "\n".join([inline(text), code(text), *block([text])]).encode("utf-8")


def test_a_name_with_underscores_is_left_readable() -> None:
    assert (
        inline("train/ot_pi_sum of act_ot & more, 5 % at $HOME") == r"train/ot_pi_sum of act_ot & more, 5 % at \$HOME"
    )


def test_only_a_plain_web_address_becomes_a_link() -> None:
    assert link("https://wandb.ai/team/act/runs/abc123") == "<https://wandb.ai/team/act/runs/abc123>"
    assert link("https://wandb.ai/<script>") == "`https://wandb.ai/<script>`"
    assert link("javascript:alert(1)") == "`javascript:alert(1)`"


def test_text_with_commands_between_backticks_keeps_them_as_code_and_its_blanks() -> None:
    assert with_code("left; `auto-loop why` tells *why*") == r"left; `auto-loop why` tells \*why\*"
    assert with_code("an odd ` one") == r"an odd \` one"
