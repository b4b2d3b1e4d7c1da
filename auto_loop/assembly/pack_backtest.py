"""A pack held against old runs: what would have fired, what it would have stopped, and what became of its like.

Pure. Everything that is said of the runs most like a proposal is an observation: one run against another, and nobody
chose by lot which of them got the change.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from auto_loop.assembly.pack_likeness import Tree, differing, distance, tree_of
from auto_loop.assembly.pack_runs import OldRun
from auto_loop.domain.config import Json
from auto_loop.domain.stats import Direction
from auto_loop.proposers.rulebook import goal_direction, objective
from auto_loop.rules.cases import Live, changed_config, live_rules
from auto_loop.rules.engine import Firing, fire
from auto_loop.rules.live import PlayedBack
from auto_loop.rules.model import Pack

_NO_DISTANCE = 1e-9  # rounding: a computed value has four digits


class Verdict(StrEnum):
    """How the run most like a proposal did beside the run that it was proposed for, by one number each."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference"
    OPEN = "cannot be compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a stop would have saved: the run's time after it. `gpus` is 1 where nobody wrote down how many it held."""

    seconds: float
    gpus: int
    gpus_assumed: bool

    @property
    def gpu_hours(self) -> float:
        """GPU-hours; none for a run on the CPU."""
        return self.seconds * self.gpus / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One old run and what the pack says of it. `value` is what it came to in the pack's objective."""

    run: OldRun
    firing: Firing
    live: Live
    value: float | None
    saved: Saved | None

    @property
    def stopped(self) -> PlayedBack | None:
        """The live rule that would have ended it."""
        return self.live.stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A proposal for an old run, and the old runs that are most like it.

    `likes` are those at the least distance, empty when none is nearer to what was proposed than the run itself is.
    `differs` are the places where the first of them still differs from what was proposed; empty: it is exactly that.
    `before` is the value of the run, `after` the mean of theirs.
    """

    run: str
    rule: str
    changes: Mapping[str, Json]
    likes: tuple[str, ...] = ()
    distance: float = math.inf
    differs: tuple[str, ...] = ()
    before: float | None = None
    after: float | None = None
    verdict: Verdict = Verdict.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseStop:
    """A run that would have been ended, though it came out among the best third: at `rank` of `of`."""

    run: str
    rule: str
    at: int
    value: float
    rank: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """All that a pack would have done with the runs, the latest first. `never` are the rules of which no run had the
    metrics and config values, with what was lacking most often."""

    pack: Pack
    replayed: tuple[Replayed, ...]
    followed: tuple[Followed, ...]
    false_stops: tuple[FalseStop, ...]
    never: Mapping[str, str]

    @property
    def stopped(self) -> tuple[Replayed, ...]:
        """The runs that a live rule would have ended."""
        return tuple(one for one in self.replayed if one.stopped is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An old run that a proposal can be held against: its config and what it came to."""

    name: str
    tree: Tree
    value: float


def backtest(pack: Pack, runs: Sequence[OldRun]) -> Backtest:
    """The pack held against each run as if it had just ended, and its live rules as if it still went on."""
    replayed = tuple(_replayed(pack, run) for run in runs)
    ignore = pack.guardrails.ignore
    candidates = [
        _Candidate(name=one.run.name, tree=tree_of(one.run.summary.config, ignore), value=one.value)
        for one in replayed
        if one.run.summary.config is not None and one.value is not None
    ]
    return Backtest(
        pack=pack,
        replayed=replayed,
        followed=tuple(followed for one in replayed for followed in _followed(pack, one, candidates)),
        false_stops=tuple(_false_stops(replayed, goal_direction(pack))),
        never=_never(pack, replayed),
    )


def _replayed(pack: Pack, run: OldRun) -> Replayed:
    live = live_rules(pack, run.summary)
    at = None if live.stopped is None else live.stopped.at
    seconds = None if at is None else run.seconds_after(at)
    return Replayed(
        run=run,
        firing=fire(pack, run.summary),
        live=live,
        value=objective(pack, run.summary),
        saved=None if seconds is None else _saved(run, seconds),
    )


def _saved(run: OldRun, seconds: float) -> Saved:
    return Saved(seconds=seconds, gpus=1 if run.gpus is None else run.gpus, gpus_assumed=run.gpus is None)


def _followed(pack: Pack, one: Replayed, candidates: Sequence[_Candidate]) -> Iterator[Followed]:
    config = one.run.summary.config
    if config is None:
        return
    own = tree_of(config, pack.guardrails.ignore)
    for proposal in one.firing.proposals:
        changed, _ = changed_config(pack, config, proposal)
        followed = Followed(run=one.run.name, rule=proposal.rule, changes=proposal.changes, before=one.value)
        if changed is None:
            yield followed
            continue
        wanted = tree_of(changed, pack.guardrails.ignore)
        likes, least = _nearest(
            wanted, distance(wanted, own), [each for each in candidates if each.name != one.run.name]
        )
        if not likes:
            yield followed
            continue
        after = math.fsum(each.value for each in likes) / len(likes)
        yield Followed(
            run=one.run.name,
            rule=proposal.rule,
            changes=proposal.changes,
            likes=tuple(each.name for each in likes),
            distance=least,
            differs=differing(wanted, likes[0].tree),
            before=one.value,
            after=after,
            verdict=_verdict(pack, one.value, after),
        )


def _nearest(wanted: Tree, own: float, candidates: Sequence[_Candidate]) -> tuple[list[_Candidate], float]:
    """The runs at the least distance from what was proposed, if that is less than the run's `own`.

    Otherwise they say nothing of the proposal: the run that it was made for is as much like it as they are.
    """
    apart = [(distance(wanted, one.tree, own), one) for one in candidates]
    nearer = [(far, one) for far, one in apart if far < own and not math.isclose(far, own)]
    least = min((far for far, _ in nearer), default=math.inf)
    return [one for far, one in nearer if math.isclose(far, least, abs_tol=_NO_DISTANCE)], least


def _verdict(pack: Pack, before: float | None, after: float) -> Verdict:
    direction = goal_direction(pack)
    if before is None or direction is Direction.NONE:
        return Verdict.OPEN
    gain = after - before if direction is Direction.HIGHER else before - after
    if abs(gain) < pack.objective.min_difference or gain == 0:
        return Verdict.SAME
    return Verdict.BETTER if gain > 0 else Verdict.WORSE


def _false_stops(replayed: Sequence[Replayed], direction: Direction) -> Iterator[FalseStop]:
    known = [(one.value, one) for one in replayed if one.value is not None]
    if direction is Direction.NONE:
        return
    known.sort(key=lambda pair: pair[0], reverse=direction is Direction.HIGHER)
    for rank, (value, one) in enumerate(known[: len(known) // 3], start=1):
        if one.stopped is not None and one.stopped.at is not None:
            at, rule = one.stopped.at, one.stopped.stop.name
            yield FalseStop(run=one.run.name, rule=rule, at=at, value=value, rank=rank, of=len(known))


def _never(pack: Pack, replayed: Sequence[Replayed]) -> dict[str, str]:
    """The rules that could be judged of no run, each with what was lacking most often."""
    never: dict[str, str] = {}
    for rule in pack.rules:
        gaps = [one.firing.unknown.get(rule.name, ()) for one in replayed]
        if replayed and all(gaps):
            never[rule.name] = Counter(gap for each in gaps for gap in each).most_common(1)[0][0]
    return never
