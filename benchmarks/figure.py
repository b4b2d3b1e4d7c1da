"""A figure with its goal, and the table that all of them make."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from auto_loop.domain.config import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured of whom. `goal` is in words; `reached` is None for a figure without a goal."""

    what: str
    who: str
    value: float
    unit: str
    digits: int = 1
    goal: str = ""
    reached: bool | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return f"{self.value:,.{self.digits}f} {self.unit}".strip()

    @property
    def verdict(self) -> str:
        """`reached` or `missed`; nothing for a figure without a goal."""
        return "" if self.reached is None else "reached" if self.reached else "missed"

    def as_json(self) -> dict[str, Json]:
        """All of it."""
        return asdict(self)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table in straight columns."""
    head = ("what", "who", "figure", "goal", "", "note")
    rows = [(one.what, one.who, one.text, one.goal, one.verdict, one.note) for one in figures]
    rows = [(row[0] if row[0] != before else "", *row[1:]) for row, before in zip(rows, ["", *(r[0] for r in rows)])]  # noqa: B905 (the last one is nobody's predecessor)
    widths = [max(3, *(len(row[column]) for row in [head, *rows])) for column in range(len(head))]
    lines = [_line(head, widths), "| " + " | ".join("-" * width for width in widths) + " |"]
    return "\n".join([*lines, *(_line(row, widths) for row in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
