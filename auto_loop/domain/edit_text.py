"""The edit language: one change of a config in one word, `ot.loss_config.reg@mul=1.5`.

    change = path [ "@" op ] "=" value            no op means set
    op     = "set" | "mul" | "add" | "min" | "max" | "append" | "remove"
    value  = JSON, or True, False, None, else the bare text

An empty path is the whole config, and takes only `remove`. What each op does: docs/edit-language.md.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from auto_loop.domain.edit_values import ValueRefusedError, checked, parse_value, render_value
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.paths import Json, Path, point, render_path, scan_path, shown, syntax_error


class Op(StrEnum):
    """What an edit does at its path."""

    SET = "set"
    MUL = "mul"
    ADD = "add"
    MIN = "min"
    MAX = "max"
    APPEND = "append"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change: at `path`, do `op` with `value`. `source` is the text that it was read from, if there was one."""

    path: Path
    op: Op = Op.SET
    value: Json = None
    source: str = field(default="", compare=False, repr=False)

    @property
    def text(self) -> str:
        """The edit as its author wrote it, else in normal form; what the pointers of errors point into."""
        return self.source or render_edit(self)

    @classmethod
    def from_change(cls, key: str, value: Json) -> Self:
        """The edit of one item of a proposal's changes: `path@op` or `path`, and a value that is not parsed again.

        Raises MisuseError.
        """
        path, op, end = _scan_head(key)
        if end < len(key):
            raise syntax_error(key, (end, len(key)), "a change's key ends here", "the value stands apart")
        try:
            return cls(path=path, op=op, value=checked(value))
        except ValueRefusedError as error:
            raise MisuseError(Fault(what=error.what, where=key, hint=error.hint)) from None


def parse_edit(text: str) -> Edit:
    """The edit that `text` writes. Raises MisuseError with `~~~^` under the place; never anything else."""
    path, op, end = _scan_head(text)
    if end == len(text):
        raise syntax_error(text, (end, end), 'there is no "=" and no value', "write path@op=value")
    try:
        return Edit(path=path, op=op, value=parse_value(text[end + 1 :]), source=text)
    except ValueRefusedError as error:
        raise syntax_error(text, (end + 1, len(text)), error.what, error.hint) from None


def parse_edits(texts: Iterable[str]) -> tuple[Edit, ...]:
    """The edits that `texts` write, in order. Raises MisuseError with the faults of all of them."""
    edits: list[Edit] = []
    faults: list[Fault] = []
    for text in texts:
        try:
            edits.append(parse_edit(text))
        except MisuseError as error:
            faults.extend(error.faults)
    if faults:
        raise MisuseError(faults)
    return tuple(edits)


def render_edit(edit: Edit) -> str:
    """The normal form, always with its op: `parse_edit(render_edit(e)) == e`."""
    key, value = to_change(edit)
    return f"{key}={render_value(value)}"


def to_change(edit: Edit) -> tuple[str, Json]:
    """The edit as an item of a proposal's changes: `path@op` and the value."""
    return f"{render_path(edit.path)}@{edit.op}", edit.value


def span_of(edit: Edit, depth: int | None = None) -> tuple[int, int]:
    """Where in `edit.text` the path's segment number `depth` stands; without one, the value."""
    if depth is not None:
        return scan_path(edit.text).spans[depth]
    return _scan_head(edit.text)[2] + 1, len(edit.text)


def edit_fault(edit: Edit, span: tuple[int, int], what: str, hint: str = "") -> Fault:
    """The fault that points at `span` of the edit's own text."""
    where = f"the edit of `{render_path(edit.path)}`"
    return Fault(what=what, where=where, pointer=point(edit.text, *span), hint=hint)


def _scan_head(text: str) -> tuple[Path, Op, int]:
    """Path and op at the start of `text`, and where they end: at the "=", or at the end of the text."""
    path: Path = ()
    end = 0
    if not text.startswith("@remove"):
        scanned = scan_path(text)
        path, end = scanned.path, scanned.end
    if not text.startswith("@", end):
        return path, Op.SET, end
    equals = text.find("=", end)
    stop = equals if equals >= 0 else len(text)
    word = text[end + 1 : stop]
    if word not in set(Op):
        near = difflib.get_close_matches(word.strip().lower(), list(Op), n=1, cutoff=0.3)
        hint = f"did you mean @{near[0]}?" if near else f"the ops are {', '.join(Op)}"
        what = f"there is no op {shown(word)!r}" if word else "the op is missing after @"
        raise syntax_error(text, (end, stop), what, hint)
    return path, Op(word), stop
