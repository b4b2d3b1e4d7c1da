"""What `auto-loop replay` prints: for a person, and as plain data."""

import json
from collections.abc import Iterator

from auto_loop.assembly.differences import Difference
from auto_loop.assembly.replaying import LoopReplayed, Replayed
from auto_loop.domain.config import Json
from auto_loop.domain.paths import shown

NAMED = 6  # jobs named of one cause; the JSON has them all
SHOWN = 50  # differences told of
_WIDTH = 160


def replay_text(found: Replayed) -> str:
    """Each loop in a line or two, every difference, and the verdict."""
    lines = [f"Study {found.study}", *(line for loop in found.loops for line in _loop(loop))]
    lines += [f"note: {note}" for note in found.notes]
    if found.differences:
        lines += ["", "What differs:"]
        lines += [f"  {_difference(one, found)}" for one in found.differences[:SHOWN]]
        if len(found.differences) > SHOWN:
            lines.append(f"  and {len(found.differences) - SHOWN} more (--json has them all)")
    return "\n".join([*lines, "", _verdict(found)])


def replay_json(found: Replayed) -> dict[str, Json]:
    """All of it as plain data."""
    return {
        "study": found.study,
        "equal": not found.differences,
        "loops": [
            {
                "loop": one.loop,
                "jobs": one.jobs,
                "given": one.given,
                "equal": one.equal,
                "different": one.different,
                "decisions": one.decisions,
                "not_derived": {cause: list(names) for cause, names in one.not_derived.items()},
            }
            for one in found.loops
        ],
        "differences": [
            {
                "what": one.what,
                "job": None if one.job is None else found.names.get(one.job),
                "job_id": one.job,
                "parent": None if one.parent is None else found.names.get(one.parent),
                "parent_id": one.parent,
                "decision": one.decision,
                "path": one.place,
                "kept": one.kept,
                "derived": one.derived,
            }
            for one in found.differences
        ],
        "notes": list(found.notes),
    }


def _loop(one: LoopReplayed) -> Iterator[str]:
    told = [f"{one.given} given by a person", f"{one.equal} derived again and equal"]
    told += [f"{one.different} in which something differs"] if one.different else []
    decisions = f"; {_count(one.decisions, 'decision')} made again" if one.decisions else ""
    yield f"  loop {one.loop}: {_count(one.jobs, 'config')}: {', '.join(told)}{decisions}"
    for cause, names in one.not_derived.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"    {len(names)} not derived: {shown(cause)}"
        yield f"      {shown(', '.join(names[:NAMED]))}{more}"


def _difference(one: Difference, found: Replayed) -> str:
    about = [f"job {one.job} {found.names.get(one.job, '')}".strip()] if one.job is not None else []
    about += [f"made on job {one.parent} {found.names.get(one.parent, '')}".strip()] if one.parent is not None else []
    about += [f"decision {one.decision}"] if one.decision is not None else []
    place = f" at {one.place}" if one.place else ""
    head = f"{', '.join(about)}: " if about else ""
    return f"{shown(f'{head}{one.what}{place}')}\n      kept    {_shown(one.kept)}\n      derived {_shown(one.derived)}"


def _shown(value: Json) -> str:
    text = shown(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _verdict(found: Replayed) -> str:
    left = sum(len(names) for one in found.loops for names in one.not_derived.values())
    aside = f"; {_count(left, 'config')} could not be derived" if left else ""
    if found.differences:
        return f"{_count(len(found.differences), 'difference')}{aside}."
    equal = sum(one.equal for one in found.loops)
    if not equal:
        return f"Nothing differs{aside}."
    if equal == 1:
        return f"The one derived config came out again, byte for byte{aside}."
    return f"All {equal} derived configs came out again, byte for byte{aside}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
