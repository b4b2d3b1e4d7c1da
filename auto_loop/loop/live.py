"""Live rules on one running job: points go in as they are read, and what fires comes out.

The points are judged in the order in which the run logged them, step by step, so a supervisor that was started anew
and reads the whole history again comes to the same counts and fires at the same steps. Kept are running statistics
and the series of those metrics alone that some live rule reads. The judge of a single rule is `rules.live`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from auto_loop.domain.config import Json
from auto_loop.domain.job import Outcome
from auto_loop.domain.series import Source
from auto_loop.domain.summary import Summary
from auto_loop.readers.base import Point
from auto_loop.rules.condition import Expression
from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import METRIC
from auto_loop.rules.live import LiveState, Readings, concerns, step, watched
from auto_loop.rules.model import Computed, Pack, Stop, Then
from auto_loop.rules.nodes import Call, Junction, Literal, Node, Unary, walk

# So many of a metric's newest points are kept at least: 8 runs with 40 metrics each then need 20 MB at most.
MOST = 1024
# Steps that are judged at one look: 8 runs that are read again from their start then take half a second of it.
_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """That a live rule fired: at which step of the run, and what was known of the run there."""

    stop: Stop
    at: int
    facts: Facts

    @property
    def text(self) -> str:
        """The rule's name, its reason with the readings in place, and the step."""
        return f"live rule {self.stop.name!r} at step {self.at}: {self.stop.reason.fill(self.facts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A live rule's verdict on a job. `only` says why it only stops what it would fork; empty when that is all."""

    fired: Fired
    only: str = ""

    @property
    def text(self) -> str:
        """The rule, its reason and the step; and that it is only a stop, where more was wanted."""
        return f"{self.fired.text} (only stopped: {self.only})" if self.only else self.fired.text

    @property
    def forks(self) -> bool:
        """Whether a changed successor is to be started."""
        return self.fired.stop.then is Then.FORK and not self.only


class LiveRules:
    """The live rules of a pack on one run.

    `verdict` is the rule that ends the run, once there is one: of several that fire at one step the first in the
    pack's order. `warnings` are those that only say so, each once. After the verdict nothing is judged any more.
    `log_end` gives the end of the job's log; it is read only for a rule that asks for it. Series are kept for their
    newest points (see `MOST`): a rule looks at what is going on.
    """

    def __init__(self, pack: Pack, config: dict[str, Json], log_end: Callable[[], str]) -> None:
        self.verdict: Fired | None = None
        self.warnings: tuple[Fired, ...] = ()
        self._pack = pack
        self._log_end = log_end
        self._rules = [_Rule(one, pack) for one in pack.stops]
        self._wanted = _wanted(pack)
        self._is_wanted: dict[str, bool] = {}  # by the name that was logged
        self._readings = Readings(pack, config, most=MOST)
        self._pending: deque[Point] = deque()
        self._names: dict[str, str] = {}  # the name that each metric is logged under in this run

    @property
    def behind(self) -> bool:
        """Whether more has come than was judged: a long history is judged in slices, one a look."""
        return bool(self._pending)

    def feed(self, points: Iterable[Point]) -> None:
        """Judge what has come, as far as one look may take."""
        self._pending.extend(point for point in points if self._wants(point.name))
        for _ in range(_ROWS):
            if self.verdict is not None:
                self._pending.clear()
            if not self._pending:
                return
            self._judge(self._pending[0].step, self._take())

    def _take(self) -> frozenset[str]:
        """Takes in what the next step has logged; the metrics that came."""
        at, row = self._pending[0].step, list[Point]()
        while self._pending and self._pending[0].step == at:
            row.append(self._pending.popleft())
        for point in row:
            metric = self._pack.canonical(point.name)
            if point.name == metric or metric not in self._names:  # its own name goes before an alias
                self._names[metric] = point.name
        mine = [point for point in row if self._names[self._pack.canonical(point.name)] == point.name]
        return frozenset(self._readings.add(point.name, point.step, point.value) for point in mine)

    def _wants(self, name: str) -> bool:
        known = self._is_wanted.get(name)
        if known is None:
            known = self._is_wanted[name] = concerns(self._wanted, frozenset({self._pack.canonical(name)}))
        return known

    def _judge(self, at: int, came: frozenset[str]) -> None:
        due = [one for one in self._rules if at >= one.stop.after and not one.told and concerns(one.names, came)]
        if not due:
            return
        facts = self._facts(due, all_of_them=any(one.reads_all for one in due))
        told = [one.stop for one in due if one.fires(facts, at)]
        whole = self._facts(due, all_of_them=True) if told else facts
        fired = [Fired(stop=stop, at=at, facts=whole) for stop in told]
        self.warnings += tuple(one for one in fired if one.stop.then is Then.WARN)
        self.verdict = next((one for one in fired if one.stop.then is not Then.WARN), None)

    def _facts(self, due: "Iterable[_Rule]", *, all_of_them: bool) -> Facts:
        names = None if all_of_them else frozenset[str]().union(*(one.names for one in due))
        facts = self._readings.facts(names)
        return replace(facts, log_tail=self._log_end() or None) if any(one.asks_log for one in due) else facts


class _Rule:
    """One live rule on one run: what it reads, and how far it has come. A warning is `told` when it has fired."""

    def __init__(self, stop: Stop, pack: Pack) -> None:
        self.stop = stop
        self.names = watched(stop.when, pack.canonical)
        self.reads_all = not self.names or any("*" in name for name in self.names)
        self.asks_log = any(_asks_log(one) for one in read_by(stop))
        self.told = False
        self._state = LiveState()

    def fires(self, facts: Facts, at: int) -> bool:
        self._state, fired = step(self._state, self.stop, facts, at)
        self.told = fired
        return fired


def read_by(stop: Stop) -> tuple[Expression, ...]:
    """Every expression of a live rule: its condition, those in its reason, and the values that it computes."""
    in_text = (part for part in stop.reason.parts if isinstance(part, Expression))
    values = (value.expression for value in stop.changes.values() if isinstance(value, Computed))
    return (stop.when, *in_text, *values)


def law_expressions(pack: Pack) -> tuple[Expression, ...]:
    """What the pack's laws read: a fork's outcome is predicted by them."""
    return tuple(one for law in pack.laws for one in (law.value, law.when) if one is not None)


def _wanted(pack: Pack) -> frozenset[str]:
    """The metrics to be kept, under the pack's names, with `*` in some; empty stands for all of them."""
    asked = [one for stop in pack.stops for one in read_by(stop)]
    if any(stop.then is Then.FORK for stop in pack.stops):
        asked += law_expressions(pack)
    names = frozenset(name for one in asked for name in watched(one, pack.canonical))
    reads_all = any(not watched(stop.when, pack.canonical) for stop in pack.stops)
    return frozenset() if reads_all else names


def without_metrics(pack: Pack, summary: Summary) -> dict[str, tuple[str, ...]]:
    """The live rules that could not have fired in an ended run, whatever it did, for want of metrics: which lacked.

    Values that were there only at the end were never seen while the run went on. Of a run that did not come to its own
    end nothing is said: what it would have logged, nobody knows.
    """
    if summary.outcome is not Outcome.SUCCEEDED:
        return {}
    live = [pack.canonical(name) for name, one in summary.series.items() if one.source is not Source.FINAL_ONLY]
    found: dict[str, tuple[str, ...]] = {}
    for stop in pack.stops:
        if not _might_be(True, stop.when.root, pack, live):
            found[stop.name] = tuple(one for one in stop.when.metrics if not _is_there(pack.canonical(one), live))
    return found


def _might_be(wanted: bool, node: Node, pack: Pack, live: Iterable[str]) -> bool:
    """Whether all metrics are there that a condition needs to be `wanted`: of alternatives, those of one."""
    match node:
        case Junction(op=op, parts=parts):
            found = (_might_be(wanted, part, pack, live) for part in parts)
            return all(found) if (op == "and") is wanted else any(found)
        case Unary(op="not", operand=operand):
            return _might_be(not wanted, operand, pack, live)
        case Call(name="exists", args=(Literal(value=str() as name),)):
            return not wanted or _is_there(pack.canonical(name), live)
        case _:
            return all(_is_there(pack.canonical(name), live) for name in _metrics(node))


def _is_there(metric: str, live: Iterable[str]) -> bool:
    return any(fnmatchcase(one, metric) for one in live) if "*" in metric else metric in live


def _metrics(node: Node) -> Iterator[str]:
    for one in walk(node):
        if isinstance(one, Call) and one.name in METRIC and isinstance(one.args[0], Literal):
            yield str(one.args[0].value)


def _asks_log(expression: Expression) -> bool:
    return any(isinstance(node, Call) and node.name == "log_matches" for node in walk(expression.root))
