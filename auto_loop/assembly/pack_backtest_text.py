"""What `auto-loop pack backtest` prints: as tables for a person, as plain data for a program."""

import posixpath
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from auto_loop.assembly.pack_backtest import Backtest, Followed, Replayed, Saved, Verdict
from auto_loop.assembly.pack_runs import FoundRuns, Timed
from auto_loop.domain.config import Json
from auto_loop.rules.live import PlayedBack
from auto_loop.rules.model import Then

_WIDTH = 118
_NAME = 60  # characters of a run's name: its end tells the runs apart
_RULE = 32  # characters of a rule's name in the table of runs: whole below it and in --json
_FOLLOWED = 12  # pairs of runs that are shown; --json has them all


def backtest_json(done: Backtest, found: FoundRuns) -> dict[str, Json]:
    """Everything, without its runs' series."""
    return {
        "pack": done.pack.name,
        "objective": done.pack.goal,
        "runs": [_run_json(one) for one in done.replayed],
        "nearest": [_followed_json(one) for one in done.followed],
        "false_stops": [
            {"run": one.run, "rule": one.rule, "at": one.at, "value": one.value, "rank": one.rank, "of": one.of}
            for one in done.false_stops
        ],
        "saved": _saved_json(done),
        "rules_never_judged": dict(done.never),
        "notes": list(found.notes),
    }


def _run_json(one: Replayed) -> Json:
    return {
        "run": one.run.name,
        "value": one.value,
        "last_step": one.run.last_step,
        "seconds": one.run.seconds,
        "timed_by": one.run.timed.value,
        "gpus": one.run.gpus,
        "fired": [proposal.rule for proposal in one.firing.proposals],
        "diagnoses": [each.name for each in one.firing.diagnoses],
        "nearest_rule": one.firing.nearest,
        "stopped": None if one.stopped is None else _live_json(one.stopped),
        "warned": [_live_json(each) for each in one.live.warned],
        "saved_seconds": None if one.saved is None else one.saved.seconds,
        "saved_gpu_hours": None if one.saved is None else one.saved.gpu_hours,
    }


def _live_json(played: PlayedBack) -> dict[str, Json]:
    then, reason = played.stop.then.value, played.reason
    return {"rule": played.stop.name, "at": played.at, "then": then, "reason": reason, "readings": {**played.readings}}


def _followed_json(one: Followed) -> Json:
    return {
        "run": one.run,
        "rule": one.rule,
        "changes": {**one.changes},
        "likes": list(one.likes),
        "distance": one.distance if one.likes else None,
        "differs": list(one.differs),
        "before": one.before,
        "after": one.after,
        "verdict": one.verdict.value,
    }


def _saved_json(done: Backtest) -> dict[str, Json]:
    saved = [one.saved for one in done.stopped if one.saved is not None]
    return {
        "runs": len(done.stopped),
        "seconds": sum(one.seconds for one in saved),
        "gpu_hours": sum(one.gpu_hours for one in saved),
        "runs_without_a_time": len(done.stopped) - len(saved),
        "runs_with_one_gpu_assumed": sum(one.gpus_assumed for one in saved),
    }


def backtest_text(done: Backtest, found: FoundRuns, places: Sequence[str]) -> str:
    """The runs, what the live rules would have saved, the false stops, and what the runs nearest to proposals did."""
    if not done.replayed:
        return f"No runs with readable metrics below {', '.join(places)}."
    names = _Names.of(done)
    parts = [
        f"{_count(len(done.replayed), 'run')} below {names.place}, held against pack {done.pack.name}",
        "\n".join(_run_table(done, names)),
        "\n".join(_live_lines(done, names)),
        "\n".join(_near_lines(done, names)),
        "\n".join(_never_lines(done)),
    ]
    return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The runs' folders as a table shows them: without the `place` that all of them lie in."""

    place: str

    @classmethod
    def of(cls, done: Backtest) -> Self:
        """The folder around all runs; of a single one, the one around it."""
        around = [posixpath.dirname(one.run.name) for one in done.replayed]
        some_are_elsewhere = len({posixpath.isabs(one) for one in around}) > 1
        return cls(place=("/" if some_are_elsewhere else posixpath.commonpath(around)) or ".")

    def short(self, name: str) -> str:
        """The end of a run's name."""
        rest = name.removeprefix(f"{self.place}/")
        return rest if len(rest) <= _NAME else f"…{rest[-_NAME + 1 :]}"


def _run_table(done: Backtest, names: _Names) -> Iterator[str]:
    head = ("run", done.pack.goal or "objective", "fired", "first rule", "live rule", "saves")
    yield from _columns([head, *(_run_row(one, names) for one in done.replayed)])


def _run_row(one: Replayed, names: _Names) -> tuple[str, ...]:
    proposals = one.firing.proposals
    stopped = one.stopped
    return (
        names.short(one.run.name),
        _number(one.value),
        str(len(proposals)),
        _clipped(proposals[0].rule) if proposals else "-",
        "-" if stopped is None else f"{_clipped(stopped.stop.name)}, at {stopped.at} of {one.run.last_step}",
        "-" if stopped is None else "not known" if one.saved is None else _time(one.saved.seconds),
    )


def _live_lines(done: Backtest, names: _Names) -> Iterator[str]:
    """What the stops would have saved, and how that is known."""
    if not done.pack.stops:
        return
    runs = _count(len(done.replayed), "run")
    if not done.stopped:
        yield f"No live rule would have stopped any of {runs}."
        return
    saved = [one.saved for one in done.stopped if one.saved is not None]
    spent = sum(one.run.seconds for one in done.replayed if one.run.seconds is not None)
    seconds, hours = sum(one.seconds for one in saved), sum(one.gpu_hours for one in saved)
    of = f" of {_time(spent)}" if spent else ""
    yield f"Live rules would have stopped {len(done.stopped)} of {runs}: {_time(seconds)}{of}, {hours:.3g} GPU-hours."
    known = f"The time after a stop is known by {_timing(done.stopped)}.{_gpus(saved)}{_forks(done.stopped)}"
    yield from textwrap.wrap(known, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if not done.false_stops:
        yield "  No false stop: none of these runs came out among the best third."
    for one in done.false_stops:
        what = f"{one.rule!r} at step {one.at}, and it came out {_ordinal(one.rank)} of {one.of} ({one.value:.4g})"
        yield f"  FALSE STOP  {names.short(one.run)}: {what}"


def _timing(stopped: Sequence[Replayed]) -> str:
    counts = Counter(one.run.timed if one.saved is not None else Timed.UNKNOWN for one in stopped)
    known = [f"{timed.value} ({_count(counts[timed], 'run')})" for timed in Timed if counts[timed]]
    return ", ".join(known).replace("not known (", "nothing (")


def _gpus(saved: Sequence[Saved]) -> str:
    assumed, none = sum(one.gpus_assumed for one in saved), sum(one.gpus == 0 for one in saved)
    said = f" How many GPUs they held is not known of {_count(assumed, 'run')}: one is counted." if assumed else ""
    return said + (f" {_count(none, 'run')} held no GPU." if none else "")


def _forks(stopped: Sequence[Replayed]) -> str:
    forks = sum(one.stopped is not None and one.stopped.stop.then is Then.FORK for one in stopped)
    return f" After {forks} of the stops a changed successor would have used the time." if forks else ""


def _near_lines(done: Backtest, names: _Names) -> Iterator[str]:
    """By rule, what became of the old runs most like its proposals."""
    if not done.followed:
        yield "No rule proposed anything that has an old config to change."
        return
    yield "What the old runs most like the proposals came to: observations, not effects."
    by_rule: dict[str, list[Followed]] = {}
    for one in done.followed:
        by_rule.setdefault(one.rule, []).append(one)
    head = ("rule", "proposals", "with a like", *(verdict.value for verdict in Verdict))
    rows = [head, *(_rule_row(rule, ones) for rule, ones in by_rule.items())]
    yield from (f"  {line}" for line in _columns(rows))
    known = sorted((one for one in done.followed if one.likes), key=lambda one: one.distance)
    for one in known[:_FOLLOWED]:
        yield from _followed_lines(one, names)
    if len(known) > _FOLLOWED:
        yield f"  and {len(known) - _FOLLOWED} more: --json has them all"


def _rule_row(rule: str, ones: Sequence[Followed]) -> tuple[str, ...]:
    likes = [one for one in ones if one.likes]
    verdicts = Counter(one.verdict for one in likes)
    return (rule, str(len(ones)), str(len(likes)), *(str(verdicts[verdict]) for verdict in Verdict))


def _followed_lines(one: Followed, names: _Names) -> Iterator[str]:
    are = f" and {len(one.likes) - 1} more are" if len(one.likes) > 1 else " is"
    yield f"  {one.rule}: {names.short(one.run)} {_number(one.before)} → {_number(one.after)}: {one.verdict}"
    like = "exactly that" if not one.differs else f"but for {', '.join(one.differs[:3])}"
    rest = f" and {len(one.differs) - 3} more places" if len(one.differs) > 3 else ""
    yield f"    {names.short(one.likes[0])}{are} {like}{rest}"


def _never_lines(done: Backtest) -> Iterator[str]:
    if done.never:
        yield "Rules of which no run had what they read:"
        yield from (f"  {rule}: {gap}" for rule, gap in done.never.items())


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _clipped(rule: str) -> str:
    return rule if len(rule) <= _RULE else f"{rule[: _RULE - 1]}…"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _time(seconds: float) -> str:
    """Seconds as people read them: 42s, 12m05s, 3h20m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02}m"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return "best" if number == 1 else f"{number}{ending} best"


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"
