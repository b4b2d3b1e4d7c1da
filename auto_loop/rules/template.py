"""Texts with readings in them: `mass is dead: {last('train/ot_pi_sum')}`. `{{` and `}}` stand for the braces."""

import re
from dataclasses import dataclass

from auto_loop.domain.config import Json
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.rules.condition import Expression, parse_any
from auto_loop.rules.explain import show
from auto_loop.rules.facts import Facts
from auto_loop.rules.tokens import fault_at

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text with expressions in it, parsed."""

    text: str
    parts: tuple[str | Expression, ...]

    def fill(self, facts: Facts) -> str:
        """The text with each expression's value, four digits of a number; what is not known reads `unknown`."""
        return "".join(part if isinstance(part, str) else show(part.evaluate(facts)) for part in self.parts)

    def of_config(self, tree: dict[str, Json]) -> Json:
        """The text filled from a config alone."""
        return self.fill(Facts(config=tree))


def parse_template(text: str) -> Template:
    """The template that `text` writes. MisuseError with every fault."""
    parts: list[str | Expression] = []
    faults: list[Fault] = []
    at = 0
    for found in _PART.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        if found.group() in ("{{", "}}"):
            parts.append(found.group()[0])
        elif found.group(1) is None:
            faults.append(fault_at(text, found.span(), "a brace without its partner", "write it twice to show one"))
        else:
            try:
                parts.append(parse_any(found.group(1)))
            except MisuseError as error:
                faults.extend(error.faults)
    if faults:
        raise MisuseError(faults)
    return Template(text=text, parts=(*parts, text[at:]))
