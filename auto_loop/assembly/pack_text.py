"""What the verbs of `auto-loop pack` print: as text for a person, as plain data for a program."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from auto_loop.assembly.pack_cases import Tested
from auto_loop.domain.config import Json
from auto_loop.domain.stats import Direction
from auto_loop.rules.cases import Judged, Miss
from auto_loop.rules.model import Pack

_WIDTH = 118


def check_json(pack: Pack) -> dict[str, Json]:
    """What is in a pack, counted, and what it strives for."""
    return {
        "pack": pack.name,
        "objective": pack.goal or None,
        "direction": pack.objective.direction.value,
        "min_difference": pack.objective.min_difference,
        "rules": len(pack.rules),
        "live_rules": len(pack.stops),
        "laws": len(pack.laws),
        "diagnoses": len(pack.diagnoses),
        "remedies": len(pack.remedies),
    }


def check_text(pack: Pack) -> str:
    """The same in words."""
    thens = Counter(stop.then.value for stop in pack.stops)
    live = f" ({', '.join(f'{count} {then}' for then, count in thens.items())})" if thens else ""
    aim = pack.goal
    better = "" if pack.objective.direction is Direction.NONE else f", better {pack.objective.direction}"
    smallest = f", differences from {pack.objective.min_difference:g} on" if pack.objective.min_difference else ""
    counts = [
        _count(len(pack.rules), "rule"),
        _count(len(pack.stops), "live rule") + live,
        _count(len(pack.laws), "law"),
        _count(len(pack.diagnoses), "diagnosis", "diagnoses"),
        _count(len(pack.remedies), "remedy", "remedies"),
    ]
    strives = f"objective: {aim}{better}{smallest}" if aim else "objective: none"
    return f"pack {pack.name}: no fault found\n  {', '.join(counts)}\n  {strives}"


def test_json(done: Sequence[Tested]) -> dict[str, Json]:
    """Every case with what was found, and what was missed."""
    return {
        "passed": sum(len(one.judged) - one.failed for one in done),
        "failed": sum(one.failed for one in done),
        "files": [
            {"file": one.file, "pack": one.pack, "cases": [_case_json(case) for case in one.judged]} for one in done
        ],
    }


def _case_json(judged: Judged) -> Json:
    stopped = judged.stopped
    return {
        "name": judged.case.name,
        "line": judged.case.line,
        "passed": judged.passed,
        "fired": list(judged.fired),
        "stopped": None if stopped is None else {"rule": stopped.rule, "at": stopped.at},
        "diagnoses": list(judged.diagnoses),
        "misses": [
            {"about": miss.about, "expected": miss.expected, "got": miss.got, "notes": list(miss.notes)}
            for miss in judged.misses
        ],
    }


def test_text(done: Sequence[Tested]) -> str:
    """A line for each case that passed, expected against got for each that did not, and the tally."""
    lines: list[str] = []
    for one in done:
        lines.append(f"{one.file} (pack {one.pack})")
        for judged in one.judged:
            lines.extend(_case_lines(judged))
    failed = sum(one.failed for one in done)
    passed = sum(len(one.judged) for one in done) - failed
    return "\n".join([*lines, f"{passed} passed, {failed} failed"])


def _case_lines(judged: Judged) -> Iterator[str]:
    if judged.passed:
        yield f"  ok      {judged.case.name}"
        return
    yield f"  FAILED  {judged.case.name} (line {judged.case.line})"
    for miss in judged.misses:
        yield from _miss_lines(miss)


def _miss_lines(miss: Miss) -> Iterator[str]:
    head = f"          {miss.about}: "
    yield from _wrapped(f"{head}expected ", miss.expected)
    yield from _wrapped(f"{' ' * len(head)}got      ", miss.got)
    for note in miss.notes:
        yield from _wrapped(" " * 12 + "- ", note)


def _wrapped(head: str, text: str) -> list[str]:
    """The text after its head, further lines below its beginning."""
    width = max(_WIDTH, len(head) + 40)
    hang = " " * len(head)
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=hang, break_long_words=False) or [head]


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
