"""What `auto-loop explain` prints: why a config exists, for a person, and as plain data."""

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import assert_never

from auto_loop.assembly.conditions_seen import Reading
from auto_loop.assembly.explained import Asked, Change, Explained, Fired, Foreseen, Held
from auto_loop.domain.config import Json
from auto_loop.domain.decision import DecisionKind
from auto_loop.domain.effect import Finding, in_words
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, REPEAT, Job
from auto_loop.domain.paths import shown
from auto_loop.domain.proposal import Verdict

_WIDTH = 110
_VALUE = 60  # characters of a config's value
LINKS, CHANGES, OTHERS, GAPS = 8, 30, 12, 8  # told of each; the JSON has them all
PERSON, RULES = "person", "rules"


def explain_text(found: Explained) -> str:
    """Sections of a few lines each, what matters most first."""
    lines = [_head(found.job), "", *_why(found)]
    if found.fired is not None:
        lines += _section("The rule", _rule(found.fired))
    if found.asked is not None and found.asked.diagnoses:
        said = (f"{name}: {text}" for name, text in found.asked.diagnoses)
        lines += _section(f"What ailed {_parent(found)}", said)
    lines += _section("What it changed", _changes(found))
    if found.foreseen:
        lines += _section("Predicted and measured", map(_prediction, found.foreseen))
    lines += _section("Held against the base", (_effect(one, found.metric) for one in found.held))
    lines += _section(f"What else was proposed of {_parent(found)}", _others(found))
    if found.asked is not None:
        lines += _section("Rules that could not be judged, for want of", _unknown(found.asked))
    lines += _section("Line of descent", _descent(found))
    lines += _section("Not known", found.lacking)
    return "\n".join(lines)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    wrapped = [part for line in lines for part in _wrapped(line)]
    return ["", title, *wrapped] if wrapped else []


def _wrapped(line: str) -> list[str]:
    indent = " " * (2 + len(line) - len(line.lstrip()))
    text = shown(line.strip())
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _head(job: Job) -> str:
    how = job.outcome.value if job.outcome is not None else job.state.value
    return f"{job.name}: job {job.id} of study {job.study}, loop {job.loop}, round {job.round}, {how}"


def _why(found: Explained) -> list[str]:
    """The reason in one or two sentences."""
    return [part for line in _reasons(found) for part in textwrap.wrap(shown(line), _WIDTH, break_long_words=False)]


def _reasons(found: Explained) -> Iterator[str]:
    origin = found.job.origin
    match origin.proposer:
        case proposer if proposer == REPEAT and not origin.rule:
            yield f"It repeats {_parent(found)} under another seed ({origin.reason}); nothing else differs."
            yield f"Why that config exists: auto-loop explain {_name(found.parent)}"
        case proposer if proposer == CONFIRMATION:
            yield f"It runs {_parent(found)} under a fresh seed ({origin.reason}), to confirm or reject a winner."
        case proposer if proposer == REMEDY:
            yield f"It took the place of {_parent(found)}, which {_failed(found.parent)}. {_sentence(origin.reason)}"
        case proposer if proposer == FORK:
            yield f"Live rule {origin.rule!r} stopped {_stopped(found)} and started it: {origin.reason}."
            if found.job.warm_from is not None:
                yield f"It starts from the last checkpoint of {_named(found, found.job.warm_from)}."
        case proposer if proposer == PERSON:
            reason = origin.reason or "no reason given"
            yield f"A person made it of {origin.parent_cfg} with generate_and_run: {reason}."
        case _ if origin.parent is None and not origin.changes:
            yield f"A person named its file, {found.job.cfg_file}: no rule made it, and it was not changed."
        case _:
            by = f"rule {origin.rule!r}" if origin.rule else origin.proposer or "somebody"
            yield f"{_capital(by)} proposed it of {_parent(found)}: {origin.reason}."
    if found.asked is not None:
        yield _asked(found.asked)


def _asked(asked: Asked) -> str:
    decision = asked.decision
    pack = f", pack {asked.pack}" if asked.pack else ""
    runs = f", seen as the median of {len(asked.runs)} runs" if len(asked.runs) > 1 else ""
    return f"Decision {decision.id} ({_time(decision.at)}{pack}): {asked.event}{runs}."


def _stopped(found: Explained) -> str:
    runs = found.asked.runs if found.asked is not None else ()
    return f"job {runs[0].id} {runs[0].name}" if runs else _parent(found)


def _failed(job: Job | None) -> str:
    last = job.last_attempt if job is not None else None
    if last is None or last.failure is None:
        return "had failed"
    return f"had failed ({last.failure.value}{f': {last.cause}' if last.cause else ''})"


def _rule(fired: Fired) -> Iterator[str]:
    yield f"{fired.rule or '(no name)'}" + (f" (purpose: {fired.group})" if fired.group not in ("", fired.rule) else "")
    if fired.condition:
        since = ""
        if fired.at_least is not None:
            after, readings = fired.at_least
            since = f", from step {after} on, {readings} in a row"
        yield f"fires when  {fired.condition}{since}"
    if fired.readings:
        yield from (f"  {_reading(one)}" for one in fired.readings)
    elif fired.evidence:
        yield from (f"  {line}" for line in _evidence(fired.evidence))
    yield from (f"computes  {key} = {text} = {_short(value)}" for key, text, value in fired.computed)
    if fired.at_least is None:
        track = f" {'+' if fired.shift > 0 else '−'} {abs(fired.shift)} by its track record" if fired.shift else ""
        yield f"priority {fired.priority}{track}"


def _reading(one: Reading) -> str:
    return f"{one.text} = {one.value}{_steps(one.steps)}"


def _steps(steps: tuple[int, ...]) -> str:
    if not steps:
        return ""
    span = f"step {steps[0]}" if len(set(steps)) == 1 else f"steps {steps[0]} to {steps[-1]}"
    return f" ({span})"


def _evidence(evidence: Mapping[str, Json]) -> Iterator[str]:
    steps = evidence.get("steps")
    known = steps if isinstance(steps, dict) else {}
    for key, value in evidence.items():
        if key not in ("steps", "predicts"):
            at = known.get(key)
            spans = tuple(step for step in at if isinstance(step, int)) if isinstance(at, list) else ()
            yield f"{key} = {_short(value)}{_steps(spans)}"


def _changes(found: Explained) -> Iterator[str]:
    for edit in found.job.origin.changes:
        yield f"edit  {edit}"
    for one in found.changes[:CHANGES]:
        yield f"  {_change(one)}"
    if len(found.changes) > CHANGES:
        yield f"  and {len(found.changes) - CHANGES} more values"
    yield from (f"note  {note}" for note in found.job.origin.notes)


def _change(one: Change) -> str:
    old = _short(one.old) if one.was_there else "(not there)"
    new = _short(one.new) if one.is_there else "(gone)"
    return f"{one.path}: {old} → {new}"


def _prediction(one: Foreseen) -> str:
    head = f"{one.metric}: predicted {one.predicted:.4g}"
    if one.measured is None:
        return f"{head}, not measured yet"
    runs = f", the median of {one.runs} runs" if one.runs > 1 else ""
    return f"{head}, measured {one.measured:.4g}{runs}: {_distance(one)}"


def _distance(one: Foreseen) -> str:
    assert one.measured is not None
    off = one.measured - one.predicted
    way = "higher" if off > 0 else "lower"
    if not one.in_nats:
        return f"{abs(off):.3g} {way}" if off else "exactly as predicted"
    factor = f", a factor of {math.exp(abs(off)):.3g}" if abs(off) < math.log(1e300) else ""
    return f"{abs(off):.3g} nats {way}{factor}"


def _effect(one: Held, metric: str) -> str:
    what = "screened" if one.kind is DecisionKind.SCREENING else "confirmed on fresh seeds"
    seeds = ", ".join(map(str, one.seen.seeds))
    follows = ""
    if one.kind is DecisionKind.CONFIRMATION:
        better = one.seen.effect.finding is Finding.BETTER
        follows = "; it is the base from here on" if better else "; the base stays"
    elif seeds:
        follows = f"; held against each other under fresh seeds {seeds} next"
    return f"{what}, {one.candidate} against {one.base}: {in_words(one.seen.effect, metric)}{follows}"


def _others(found: Explained) -> Iterator[str]:
    """Each with its edits; those that went without for one reason stand together below it."""
    said = ""
    for one in found.others[:OTHERS]:
        head = _became(one, found)
        if head != said:
            yield head
        said = head
        who = one.proposal.rule or one.proposal.proposer
        changes = (f"{key}={_short(value)}" for key, value in one.proposal.changes.items())
        yield f"  {who}: {', '.join(one.edits) or ', '.join(changes)}"
    if len(found.others) > OTHERS:
        yield f"and {len(found.others) - OTHERS} more"


def _became(one: ProposalRecord, found: Explained) -> str:
    why = "; ".join(reason.splitlines()[0] for reason in one.reasons)
    match one.verdict:
        case Verdict.ACCEPTED:
            return f"became {_named(found, one.child)}" if one.child is not None else "taken, not launched yet"
        case Verdict.WAITING:
            return f"waits: {why}" if why else "waits"
        case Verdict.REFUSED | Verdict.NO_PLACE:
            return f"{one.verdict.value}: {why}" if why else one.verdict.value
        case _:
            assert_never(one.verdict)


def _unknown(asked: Asked) -> Iterator[str]:
    by_gaps: dict[tuple[str, ...], list[str]] = {}
    for rule, gaps in asked.unknown.items():
        by_gaps.setdefault(gaps, []).append(rule)
    for at, (gaps, rules) in enumerate(by_gaps.items()):
        if at == GAPS:
            yield f"and {len(by_gaps) - GAPS} more"
            return
        yield f"{', '.join(gaps)}: {', '.join(rules)}"


def _descent(found: Explained) -> Iterator[str]:
    """The first and the last links of the line; alone it is not told."""
    if len(found.descent) < 2:
        return
    left_out = len(found.descent) - LINKS
    for at, job in enumerate(found.descent):
        if left_out > 0 and 1 <= at <= left_out:
            if at == 1:
                yield f"… {left_out} more …"
            continue
        yield f"job {job.id}  {job.name}  {_link(job)}"


def _link(job: Job) -> str:
    origin = job.origin
    if origin.parent is None:
        return f"of {origin.parent_cfg}: {', '.join(origin.changes)}" if origin.changes else "given by a person"
    who = f"{origin.proposer} {origin.rule}" if origin.proposer != RULES and origin.rule else origin.rule
    return f"{who or origin.proposer}: {', '.join(origin.changes)}"


def _parent(found: Explained) -> str:
    parent = found.parent
    return f"job {parent.id} {parent.name}" if parent is not None else found.job.origin.parent_cfg or "its parent"


def _name(job: Job | None) -> str:
    return "JOB" if job is None else str(job.id)


def _named(found: Explained, number: int | None) -> str:
    name = next((name for job, name in found.names.items() if job == number), "")
    return f"job {number} {name}".rstrip()


def _short(value: Json) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    return f"{_capital(text)}." if text else ""
