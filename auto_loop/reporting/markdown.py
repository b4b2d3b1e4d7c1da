"""Markdown that holds whatever text is put into it: inline text, code spans, tables, fenced blocks and folds.

The report carries text from outside (reasons, log lines, paths). Each function here takes any string and gives
Markdown (CommonMark with GitHub's tables) that shows it and that it cannot break out of.
"""

import html
import re
from collections.abc import Iterable, Sequence

# Characters that never belong in a report: C0 and C1 controls, text-direction overrides, lone surrogates, and the
# separators that some viewers take for a line's end.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]",
)
_SPECIAL = re.compile(r"[\\`*\[\]<~$]|&(?=[#A-Za-z])|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")

_PIPE = r"\|"


def plain(text: str) -> str:
    """`text` on one line: white space is one blank, control characters are gone."""
    return " ".join(_UNWANTED.sub("", text).split())


def cut(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters, with an ellipsis where something was left out."""
    text = plain(text)
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def inline(text: str) -> str:
    """`text` to be read as it is, within a line or a table's cell."""
    return _SPECIAL.sub(r"\\\g<0>", plain(text))


def code(text: str) -> str:
    """`text` as a code span, within a line or a table's cell; nothing for an empty text."""
    text = plain(text)
    if not text:
        return ""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def with_code(text: str) -> str:
    """`text` to be read as it is, but for what stands between backticks, which is code."""
    parts = plain(text).split("`")
    if len(parts) % 2 == 0:
        return inline(text)
    return "".join(code(part) if place % 2 else _SPECIAL.sub(r"\\\g<0>", part) for place, part in enumerate(parts))


def link(url: str) -> str:
    """`url` as a link if it is one, else as a code span."""
    return f"<{url}>" if re.fullmatch(r"https?://[!-;=?-~]+", url) else code(url)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table. Every cell is Markdown made by the functions above."""
    return [_row(header), _row(["---"] * len(header)), *map(_row, rows)]


def block(lines: Iterable[str]) -> list[str]:
    """`lines` as a fenced block, which no line of it can close."""
    body = [_UNWANTED.sub("", line.replace("\n", " ").replace("\r", " ")) for line in lines]
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *body, fence]


def fold(summary: str, lines: Iterable[str]) -> list[str]:
    """`lines` behind a line that opens them. The blank lines are what lets Markdown inside HTML be read as such."""
    return ["<details>", f"<summary>{html.escape(plain(summary), quote=False)}</summary>", "", *lines, "", "</details>"]


def _row(cells: Sequence[str]) -> str:
    """One line of a table. A pipe in a cell takes a backslash, in code spans too; the table's parser takes it off."""
    return f"| {' | '.join(cell.replace('|', _PIPE) for cell in cells)} |"
