"""[guardrails] of a pack, read from its table. Faults gather in the tables; a broken entry is left out."""

from auto_loop.domain.edit_text import parse_edit
from auto_loop.domain.guardrails import Choice, Derivation, Forbidden, Guardrails, Range, Relation
from auto_loop.domain.paths import Path, Star, parse_path
from auto_loop.rules.condition import Expression, parse_condition, parse_formula
from auto_loop.rules.tables import Table
from auto_loop.rules.template import parse_template


def read_guardrails(table: Table) -> Guardrails:
    """[guardrails]: `allow`, `ignore`, and the tables `multiple_of derive range choice relation forbid`."""
    allow = tuple(_path(table, "allow", text) for text in table.texts("allow")) if "allow" in table.data else None
    rails = Guardrails(
        allow=None if allow is None else tuple(path for path in allow if path),
        ignore=tuple(path for text in table.texts("ignore") if (path := _path(table, "ignore", text))),
        derive=(*_derivations(table.table("multiple_of"), True), *_derivations(table.table("derive"), False)),
        ranges=tuple(_ranges(table.table("range"))),
        choices=tuple(_choices(table.table("choice"))),
        relations=tuple(relation for below in table.tables("relation") if (relation := _relation(below))),
        forbid=tuple(state for below in table.tables("forbid") if (state := _forbidden(below))),
    )
    table.done()
    return rails


def _path(table: Table, key: str, text: str) -> Path:
    """The path, or the empty one where it is broken."""
    return table.parse(key, text, parse_path) or ()


def _derivations(table: Table, multiple: bool) -> list[Derivation]:
    found: list[Derivation] = []
    for key in table.data:
        raw = table.raw(key)
        text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
        if not isinstance(text, str):
            table.wrong(key, "takes an expression in quotes")
            continue
        formula, path = table.parse(key, text, parse_formula), _path(table, key, key)
        if formula is not None and path:
            found.append(Derivation(path=path, formula=formula, multiple=multiple))
    return found


def _ranges(table: Table) -> list[Range]:
    found: list[Range] = []
    for key in table.data:
        ends, path = table.table(key), _path(table, key, key)
        low, high = (ends.get(end, float, 0.0) if end in ends.data else None for end in ("min", "max"))
        if low is None and high is None:
            table.wrong(key, "takes { min = ..., max = ... }")
        elif low is not None and high is not None and low > high:
            table.wrong(key, f"min {low:g} is above max {high:g}")
        ends.done()
        if path:
            found.append(Range(path=path, low=low, high=high))
    return found


def _choices(table: Table) -> list[Choice]:
    found: list[Choice] = []
    for key in table.data:
        values, path = table.get(key, list, []), _path(table, key, key)
        if not values:
            table.wrong(key, "takes a list of the values that are allowed")
        elif path:
            found.append(Choice(path=path, values=tuple(values)))
    return found


def _relation(table: Table) -> Relation | None:
    formula = table.parsed("must", parse_condition)
    reason = table.parsed("reason", parse_template)
    table.done()
    return None if formula is None or reason is None else Relation(formula=formula, reason=reason)


def _forbidden(table: Table) -> Forbidden | None:
    each = table.parsed("each", parse_path, required=False)
    when = table.parsed("when", parse_condition)
    reason = table.parsed("reason", parse_template)
    suggest = table.get("suggest", str, "")
    if suggest:
        table.parse("suggest", suggest, parse_edit)
    table.done()
    if each is not None and not any(isinstance(segment, Star) for segment in each):
        table.wrong("each", "names one place only", "write a path with *, or leave `each` out")
    if when is None or reason is None:
        return None
    _only_config(table, when)
    return Forbidden(when=when, reason=reason, each=each, suggest=suggest)


def _only_config(table: Table, expression: Expression) -> None:
    if expression.metrics:
        table.wrong("when", "guardrails see a config and no metrics", "make it a [[rule]]")
