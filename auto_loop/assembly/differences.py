"""Differences between what a ledger holds and what is derived from it again: what, where, and both values. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auto_loop.domain.config import Config, Json
from auto_loop.domain.decision import DecisionId
from auto_loop.domain.job import JobId
from auto_loop.domain.paths import Index, Key, Path, render_path
from auto_loop.domain.secrets import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it is derived.

    `what` names it ("config", "reason of rule 'halve'"), `place` the first path inside it that differs, "" for the
    whole. `kept` is what the ledger (or the file) has, `derived` what comes out. `job` is the one whose config it is
    about; `parent` the one that a decision was made on, for what became no job.
    """

    what: str
    place: str = ""
    kept: Json = None
    derived: Json = None
    job: JobId | None = None
    parent: JobId | None = None
    decision: DecisionId | None = None


class _Absent:
    """No value at a place; the ledger's JSON has none that looks like it."""


_ABSENT = _Absent()
NOT_THERE = "(not there)"


def first_difference(kept: Json, derived: Json) -> tuple[str, Json, Json] | None:
    """The first place where two trees differ, with both values; None when they are equal. 1, 1.0 and true differ."""
    if json.dumps(kept, sort_keys=True) == json.dumps(derived, sort_keys=True):
        return None
    for place, ours, theirs in _differing(plain(kept), plain(derived), ()):
        return render_path(place), _shown(ours), _shown(theirs)
    return None


def config_difference(kept: Config, derived: Config) -> tuple[str, Json, Json] | None:
    """The first place where two configs differ. Keys in another order are no difference: a ledger keeps each config
    once, as it came first."""
    if kept.text == derived.text:
        return None
    try:
        data: Json = kept.data()
    except ValueError as error:
        return "", f"no JSON: {error}", NOT_THERE
    return first_difference(data, derived.data())


def plain(value: object) -> Json:
    """A value as it comes back from a column of JSON: tuples are lists then."""
    found: Json = json.loads(json.dumps(value))
    return found


def told(answer: str | Json, secrets: Iterable[str]) -> str | Json:
    """A text, or plain data with all texts in it, without secrets: a config may hold what a report would mask."""
    known = tuple(secrets)
    match answer:
        case str():
            return masked(answer, known)
        case dict():
            return {masked(name, known): told(item, known) for name, item in answer.items()}
        case list():
            return [told(item, known) for item in answer]
        case _:
            return answer


def _differing(ours: Json, theirs: Json, place: Path) -> Iterator[tuple[Path, Json | _Absent, Json | _Absent]]:
    match ours, theirs:
        case dict(), dict():
            for name in dict.fromkeys((*ours, *theirs)):
                here = (*place, Key(name))
                if name in ours and name in theirs:
                    yield from _differing(ours[name], theirs[name], here)
                else:
                    yield here, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
        case list(), list():
            for number in range(max(len(ours), len(theirs))):
                here = (*place, Index(number))
                if number < min(len(ours), len(theirs)):
                    yield from _differing(ours[number], theirs[number], here)
                else:
                    both = [one[number] if number < len(one) else _ABSENT for one in (ours, theirs)]
                    yield here, both[0], both[1]
        case _ if type(ours) is not type(theirs) or ours != theirs:
            yield place, ours, theirs


def _shown(value: Json | _Absent) -> Json:
    return NOT_THERE if isinstance(value, _Absent) else value
