"""Conditions and formulas: the expressions that packs are written in. Parsed here, never handed to `eval`.

    expression  = and-part *( "or" and-part )
    and-part    = not-part *( "and" not-part )
    not-part    = [ "not" ] comparison
    comparison  = sum *( ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum )       a < b <= c: every link holds
    sum         = product *( ( "+" | "-" ) product )
    product     = signed *( ( "*" | "/" | "%" ) signed )
    signed      = [ "-" ] atom [ "**" signed ]
    atom        = number | text in quotes | "true" | "false" | "null" | path | call | "(" expression ")"
    call        = function "(" expression *( "," expression ) ")"
    path        = name *( "." ( name | index | "*" ) | '["' any text '"]' )    a value of the run's config

Functions of a metric, whose name stands in quotes: first last best best_step delta pct n nan_count; slope(m) per
step; value(m) now or value(m, step) at or before a step; delta, pct and slope also over the last points alone:
pct(m, points). exists(metric or path), log_matches("regular expression"). abs min max ln log10 exp sqrt round floor
ceil. Over the items of one `*`: any all count sum max min; every `*` inside one fold stands for the same item, also
in a metric's name: sum(features.*.weight * last("cost/*")). In a law `next.PATH` is a value of the changed config.

A missing metric, a missing config value, a statistic that final-only data lacks, a division by zero and anything
not finite are *unknown*: arithmetic and comparisons with them are unknown, `and`/`or`/`not` follow Kleene, and a rule
fires only on true. `exists` is never unknown for a metric.
"""

from dataclasses import dataclass
from functools import lru_cache

from auto_loop.domain.config import Json
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.rules.evaluate import as_number, evaluate
from auto_loop.rules.explain import Shortfall, missing_names, shortfall
from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import METRIC, Kind, faults_in, kind_of
from auto_loop.rules.nodes import Call, Literal, Node, Unknown, Value, walk
from auto_loop.rules.parser import parse_tree
from auto_loop.rules.tokens import fault_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed expression with its source text."""

    text: str
    root: Node

    def evaluate(self, facts: Facts) -> Value:
        """Its value under the facts; `UNKNOWN` where they do not suffice."""
        return evaluate(self.root, facts)

    def holds(self, facts: Facts) -> bool:
        """Whether it is true; false and unknown are both no."""
        return self.evaluate(facts) is True

    def number(self, facts: Facts) -> float | None:
        """Its value as a finite number, None where it is unknown or something else."""
        return as_number(self.evaluate(facts))

    def of_config(self, tree: dict[str, Json]) -> Json:
        """Its value where a config alone is known; None where that does not suffice."""
        value = self.evaluate(Facts(config=tree))
        return None if isinstance(value, Unknown) else value

    def shortfall(self, facts: Facts) -> Shortfall:
        """What keeps it from holding: the deciding comparison with its value, and how far off it is."""
        return shortfall(self.root, self.text, facts)

    def missing(self, facts: Facts) -> tuple[str, ...]:
        """The readings and config values in it that are unknown."""
        return missing_names(self.root, self.text, facts)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric names that it reads, in the order of the text."""
        named = [
            node.args[0].value
            for node in walk(self.root)
            if isinstance(node, Call) and node.name in METRIC and isinstance(node.args[0], Literal)
        ]
        return tuple(dict.fromkeys(str(name) for name in named))

    @property
    def readings(self) -> tuple["Expression", ...]:
        """The metric readings in it, each as an expression of its own: the evidence that a decision rests on."""
        calls = [node for node in walk(self.root) if isinstance(node, Call) and node.name in METRIC]
        texts = dict.fromkeys(self.text[slice(*call.span)] for call in calls)
        return tuple(parse_formula(text) for text in texts)


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Expression:
    """An expression that is true, false or unknown. MisuseError with every fault and a pointer."""
    return _parse(text, Kind.TRUTH)


@lru_cache(maxsize=1024)
def parse_formula(text: str) -> Expression:
    """An expression for a number, or for a value of the config as it stands. MisuseError as above."""
    return _parse(text, Kind.NUMBER)


def parse_any(text: str) -> Expression:
    """An expression of any kind, for the places in a text that show its value."""
    return _parse(text, None)


def _parse(text: str, wanted: Kind | None) -> Expression:
    root = parse_tree(text)
    faults: list[Fault] = list(faults_in(root, text))
    found = kind_of(root)
    if wanted is not None and found not in (wanted, Kind.OPEN):
        faults.append(fault_at(text, root.span, f"{wanted.value} is needed here, and this is {found.value}"))
    if faults:
        raise MisuseError(faults)
    return Expression(text=text, root=root)
