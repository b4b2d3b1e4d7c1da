"""A condition's readings with what each came to, in the order of its text."""

from collections.abc import Iterable
from dataclasses import dataclass

from auto_loop.rules.condition import Expression
from auto_loop.rules.evaluate import as_number, evaluate, subject
from auto_loop.rules.explain import quote, show
from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import METRIC
from auto_loop.rules.nodes import STAR, Call, Node, Place, walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A reading of a metric, of the log or of the config: as the condition writes it, its value in words (`unknown`
    where there was none), and the step that it was taken at, or the first and last that it spans."""

    text: str
    value: str
    steps: tuple[int, ...] = ()


def readings_in(expressions: Iterable[Expression], facts: Facts) -> tuple[Reading, ...]:
    """Every reading in the expressions, each once; what stands for many items (`*`) is left to the text."""
    found: dict[str, Reading] = {}
    for one in expressions:
        for node in walk(one.root):
            if _is_reading(node, facts):
                text = quote(node, one.text)
                value = show(evaluate(node, facts))
                found.setdefault(text, Reading(text=text, value=value, steps=_steps(node, facts)))
    return tuple(found.values())


def _is_reading(node: Node, facts: Facts) -> bool:
    match node:
        case Place(segments=segments):
            return STAR not in segments
        case Call(name=name) if name in METRIC or name in ("exists", "log_matches"):
            return "*" not in subject(node, facts)
        case _:
            return False


def _steps(node: Node, facts: Facts) -> tuple[int, ...]:
    if not isinstance(node, Call) or node.name not in METRIC:
        return ()
    second = as_number(evaluate(node.args[1], facts)) if len(node.args) > 1 else None
    return tuple(facts.steps_read(node.name, subject(node, facts), second))
