"""`review`: the proposals of a study that wait, and a person's word on them."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from auto_loop.assembly.named_files import ledger_file
from auto_loop.assembly.stopping import who_asks
from auto_loop.assembly.supervisors import Here, undriven
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.assembly.why import check_study
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Json
from auto_loop.domain.edit_text import Edit, parse_edits
from auto_loop.domain.edits import apply, diff
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError, RefusedError
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job
from auto_loop.domain.paths import BrokenPathError, get, render_path
from auto_loop.domain.study import Loop
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from auto_loop.loop.stops import REVIEW

DONE = 0
ALL = "all"
_ANSWER_S = 10.0
_LOOK_S = 0.1
_GONE = "(not there)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCall:
    """What the person wants: to see what waits, or a word on it.

    `accept` and `refuse` are numbers of proposals, or `all`; `rest` accepts whatever is not refused. `by` is the
    person's name, None for the account's.
    """

    study: str
    accept: tuple[str, ...] = ()
    refuse: tuple[str, ...] = ()
    rest: bool = False
    by: str | None = None
    as_json: bool = False
    ledger: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A proposal that waits, with its parent, and what it would change: place, old and new value."""

    record: ProposalRecord
    parent: Job
    changes: tuple[tuple[str, Json, Json], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is accepted and what is refused, by number, and by whom."""

    accept: tuple[int, ...]
    refuse: tuple[int, ...]
    by: str


def run_review(call: ReviewCall, say: Callable[[str], None], around: Surroundings | None = None) -> int:
    """Show what waits, or give a word on it; the exit code."""
    around = around or Surroundings.here()
    file = ledger_file(AutorunCall(ledger=call.ledger), around)
    with closing(Reading.open(file)) as reading:
        check_study(reading, call.study)
        loop = reading.unfinished_loop(call.study)
        found = waiting_of(reading, loop) if loop is not None else ()
        nobody = undriven(call.study, reading.supervisor(call.study), Here.now())
    if not (call.accept or call.refuse or call.rest):
        say(
            json.dumps(as_json(call.study, loop, found), indent=2) if call.as_json else as_text(call.study, loop, found)
        )
        return DONE
    word = _word(call, [one.record.id or 0 for one in found], who_asks(around))
    with closing(Requests.connect(file, around.clock)) as requests:
        say(_given(requests, call.study, word, nobody))
    return DONE


def waiting_of(reading: Reading, loop: Loop) -> tuple[Waiting, ...]:
    """The proposals of a loop that wait, in the order in which they came."""
    records = reading.decisions.waiting(loop.number)
    parents = {number: reading.job(number) for number in {one.parent for one in records}}
    found = ((one, parents[one.parent]) for one in records)
    return tuple(Waiting(record=one, parent=job, changes=_changes(one, job)) for one, job in found if job is not None)


def _changes(record: ProposalRecord, parent: Job) -> tuple[tuple[str, Json, Json], ...]:
    """Place, old value and new value of all that differs; the edits as they are where these cannot be made again."""
    try:
        edits: Sequence[Edit] = parse_edits(record.edits)
        edits = diff(parent.config, apply(parent.config, edits))
    except AutoLoopError:
        return tuple((edit, None, None) for edit in record.edits)
    return tuple((render_path(edit.path), _old(parent, edit), edit.value) for edit in edits)


def _old(parent: Job, edit: Edit) -> Json:
    try:
        return get(parent.config.data(), edit.path)
    except BrokenPathError:
        return _GONE


def as_text(study: str, loop: Loop | None, found: Sequence[Waiting]) -> str:
    """What waits, for people."""
    if loop is None or not found:
        return f"No proposal of study {study} waits."
    whom = "a person" if loop.flags.get("review") else "a free slot"
    number = "1 proposal waits" if len(found) == 1 else f"{len(found)} proposals wait"
    blocks = ["\n".join(_block(one)) for one in found]
    how = f"`auto-loop review {study} --accept N... --refuse N...` says what becomes of them; `--all` accepts the rest."
    return "\n\n".join([f"Study {study}, loop {loop.number}: {number} for {whom}.", *blocks, how])


def _block(one: Waiting) -> Iterator[str]:
    proposal = one.record.proposal
    rule = f"rule {proposal.rule}" if proposal.rule else proposal.proposer
    yield f"{one.record.id:>4}  {one.parent.name} → round {one.record.round + 1}  {rule}, priority {proposal.priority}"
    yield f"      {proposal.reason}"
    yield from (f"      {place}: {_short(old)} → {_short(new)}" for place, old, new in one.changes)
    if one.record.predictions:
        expected = (f"{name} {value:.4g}" for name, value in one.record.predictions.items())
        yield f"      expected: {', '.join(expected)}"
    if read := [*_read(proposal.evidence)]:
        yield f"      by: {', '.join(read)}"


def _read(evidence: Mapping[str, Json]) -> Iterator[str]:
    """The readings that the reason rests on, with the last step of each where it is known."""
    steps = evidence.get("steps")
    for name, value in evidence.items():
        at = steps.get(name) if isinstance(steps, dict) else None
        if not isinstance(value, dict | list):
            yield f"{name} = {_short(value)}{f' @{at[-1]}' if isinstance(at, list) and at else ''}"


def _short(value: Json) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if value == _GONE and isinstance(value, str) else json.dumps(value)


def as_json(study: str, loop: Loop | None, found: Sequence[Waiting]) -> dict[str, Json]:
    """What waits, for programs."""
    return {
        "study": study,
        "loop": loop.number if loop is not None else None,
        "proposals": [
            {
                "number": one.record.id,
                "parent": one.parent.name,
                "round": one.record.round + 1,
                "rule": one.record.proposal.rule,
                "reason": one.record.proposal.reason,
                "priority": one.record.proposal.priority,
                "edits": list(one.record.edits),
                "changes": [{"path": place, "old": old, "new": new} for place, old, new in one.changes],
                "predictions": dict(one.record.predictions),
                "evidence": dict(one.record.proposal.evidence),
            }
            for one in found
        ],
    }


def _word(call: ReviewCall, waiting: Sequence[int], account: str) -> Word:
    """The call's words as numbers of what waits. MisuseError and RefusedError with every number that is none."""
    refuse = _numbers(call.refuse, waiting, "--refuse")
    accept = _numbers(call.accept, waiting, "--accept")
    one_is_all = (ALL in call.accept) is not (ALL in call.refuse)
    both = [] if one_is_all else [str(one) for one in accept if one in refuse]
    if both:
        raise MisuseError(Fault(what=f"{', '.join(both)} cannot be both accepted and refused", where="--accept"))
    strange = [str(one) for one in (*accept, *refuse) if one not in waiting]
    if strange:
        there = f"waiting: {', '.join(map(str, waiting))}" if waiting else "nothing of this study waits"
        raise RefusedError(
            Fault(what=f"no proposal {' and no proposal '.join(strange)} waits in study {call.study}", hint=there)
        )
    if ALL in call.refuse:
        refuse = tuple(one for one in refuse if one not in accept)
    if ALL in call.accept or call.rest:
        accept = tuple(one for one in waiting if one not in refuse)
    if not (accept or refuse):
        raise RefusedError(Fault(what=f"no proposal of study {call.study} waits"))
    return Word(accept=accept, refuse=refuse, by=call.by or account)


def _numbers(words: Sequence[str], waiting: Sequence[int], option: str) -> tuple[int, ...]:
    if ALL in words:
        return tuple(waiting)
    faults = [
        Fault(what=f"{word!r} is no number of a proposal", where=option, hint="`auto-loop review STUDY` shows them")
        for word in words
        if not (word.isdecimal() and len(word) < 19)
    ]
    if faults:
        raise MisuseError(faults)
    return tuple(dict.fromkeys(map(int, words)))


def _given(requests: Requests, study: str, word: Word, nobody: str) -> str:
    """Hand the word on, and wait for what comes of it where somebody drives the study."""
    payload: dict[str, Json] = {"accept": list(word.accept), "refuse": list(word.refuse), "by": word.by}
    number = requests.add(study, REVIEW, payload)
    if nobody:
        return f"It is kept (request {number}), and done as soon as the loop goes on: {nobody}."
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline:
        found = requests.get(number)
        if found is not None and found.answered_at is not None:
            return f"{found.answer[:1].upper()}{found.answer[1:]}."
        time.sleep(_LOOK_S)
    return f"It is kept (request {number}), but the supervisor of study {study} has not answered yet."
