"""Replay: every config of a study derived again from its ledger alone, and held against what the ledger has.

Decisions are made again from the readings, rules and limits that were kept with them; repeats, confirmations and
remedies are their parents with their edits. What a person gave is the ground that all of it stands on, and is not
derived. Config files that are still on disk are compared byte for byte; nothing else of the machine is looked at.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auto_loop.assembly.differences import NOT_THERE, Difference, config_difference, first_difference
from auto_loop.assembly.replay_decisions import Compared, Rows
from auto_loop.assembly.replay_ground import Ground, kept_otherwise, made_again, rows_of
from auto_loop.domain.config import NO_TYPES, Config, Json
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, REPEAT, Job, JobId
from auto_loop.workspace.configs import config_text

PERSON = "person"
BROKEN = "its decision cannot be read"
NOT_KEPT = "its decision was not kept: it was made before the ledger kept decisions"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReplayed:
    """What came of a loop's configs: how many a person gave, were derived and are equal, differ, or could not be
    derived, with the jobs' names by the cause. `decisions` counts those of its rules that were made again."""

    loop: int
    jobs: int
    given: int
    equal: int
    different: int
    decisions: int
    not_derived: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A study derived again. `names` are the jobs' names by their numbers, for those who tell of it."""

    study: str
    loops: tuple[LoopReplayed, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
    names: Mapping[JobId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What has come of the study so far: differences, configs by the job that each was derived for, and why the others
    could not be. `made` counts a loop's decisions that were made again."""

    differences: list[Difference] = field(default_factory=list)
    configs: dict[JobId, Config] = field(default_factory=dict)
    causes: dict[JobId, str] = field(default_factory=dict)
    made: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


def replay(ground: Ground, root: Path, workers: int = 1) -> Replayed:
    """The study derived again, by `workers` processes where it is long. `root` is where config files lie."""
    found = _Found(differences=[*kept_otherwise(ground)])
    rows = rows_of(ground)
    for one, again in zip(rows, made_again(ground, rows, workers), strict=True):
        _take(found, one, again)
    for job in ground.history.jobs:
        if job.id not in found.configs and job.id not in found.causes and not is_given(job):
            _by_edits(ground, found, job)
        if job.id in found.configs:
            found.differences.extend(_file(root, job))
    return _told(ground, found)


def _take(found: _Found, rows: Rows, again: Compared | str) -> None:
    """What came of one decision; a text says why it could not be made again."""
    if isinstance(again, str):
        found.causes.update({row.child: again for row in rows.proposals if row.child is not None})
        return
    if again.broken:
        found.causes.update({row.child: BROKEN for row in rows.proposals if row.child is not None})
    else:
        found.made[rows.decision.loop] += 1
    found.differences.extend(again.differences)
    found.configs.update(again.configs)


def is_given(job: Job) -> bool:
    """Whether a person named the config, and nothing is known of how it was made."""
    return job.origin.parent is None and not job.origin.changes


def _by_edits(ground: Ground, found: _Found, job: Job) -> None:
    kinds = (REPEAT, CONFIRMATION, REMEDY)
    simple = job.origin.proposer in kinds and job.origin.rule in ("", *_remedies(job))
    made, differing = _tried(ground, job)
    if made is None and differing is None:
        known = "its parent's config is not in the ledger"
        found.causes[job.id] = known
    elif made is not None and (simple or job.origin.proposer == PERSON):
        found.configs[job.id] = made
    elif simple:
        place, ours, theirs = differing or ("", None, None)
        found.differences.append(Difference(what="config", place=place, kept=ours, derived=theirs, job=job.id))
    elif job.origin.proposer == PERSON:
        found.causes[job.id] = "no config that the ledger has of its base file gives it: the file was another then"
    else:
        gives = "do" if made is not None else "do not"
        found.causes[job.id] = f"{NOT_KEPT} (parent and edits {gives} give it)"


def _remedies(job: Job) -> tuple[str, ...]:
    return (job.origin.rule,) if job.origin.proposer == REMEDY else ()


def _tried(ground: Ground, job: Job) -> tuple[Config | None, tuple[str, Json, Json] | None]:
    """The config by the edits from any config that may be its parent's; else how far off the last one was."""
    differing: tuple[str, Json, Json] | None = None
    types = ground.types.get(job.loop) or next(iter(ground.types.values()), NO_TYPES)
    for parent in _parents(ground, job):
        for known in dict.fromkeys((id(types), id(NO_TYPES))):
            try:
                made = apply(parent, parse_edits(job.origin.changes), types if known == id(types) else NO_TYPES)
            except (AutoLoopError, ValueError) as error:
                differing = differing or ("", f"its edits do not apply to its parent: {error}", NOT_THERE)
                continue
            off = config_difference(job.config, made)
            if off is None:
                return made, None
            differing = differing or off
    return None, differing


def _parents(ground: Ground, job: Job) -> Iterable[Config]:
    if job.origin.parent is not None:
        parent = ground.jobs.get(job.origin.parent)
        return [] if parent is None else [parent.config]
    named = (one.config for one in ground.history.jobs if one.cfg_file == job.origin.parent_cfg)
    return dict.fromkeys(named)


def _file(root: Path, job: Job) -> Iterator[Difference]:
    """The derived config's file, if it is there: as it was written, byte for byte."""
    file = root / job.cfg_file
    try:
        kept = file.read_bytes()
    except OSError:
        return  # gone, as output and config folders may be
    text = config_text(job.config)
    if kept == text.encode():
        return
    differing: tuple[str, Json, Json] | None
    try:
        differing = first_difference(json.loads(kept), job.config.data())
    except ValueError as error:
        differing = ("", f"no JSON: {error}", NOT_THERE)
    place, ours, theirs = differing or ("", "the same values, written otherwise", "as the loop writes configs")
    yield Difference(what=f"config file {job.cfg_file}", place=place, kept=ours, derived=theirs, job=job.id)


def _told(ground: Ground, found: _Found) -> Replayed:
    bad = {one.job for one in found.differences}
    return Replayed(
        study=ground.history.study.name,
        loops=tuple(_loop(ground, found, loop.number, bad) for loop in ground.history.loops),
        differences=tuple(found.differences),
        notes=tuple(_notes(ground)),
        names={job.id: job.name for job in ground.history.jobs},
    )


def _loop(ground: Ground, found: _Found, number: int, bad: set[JobId | None]) -> LoopReplayed:
    jobs = [job for job in ground.history.jobs if job.loop == number]
    causes: defaultdict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.id not in bad and job.id in found.causes:
            causes[found.causes[job.id]].append(job.name)
    return LoopReplayed(
        loop=number,
        jobs=len(jobs),
        given=sum(is_given(job) for job in jobs if job.id not in bad),
        equal=sum(job.id in found.configs for job in jobs if job.id not in bad),
        different=sum(job.id in bad for job in jobs),
        decisions=found.made[number],
        not_derived={cause: tuple(names) for cause, names in causes.items()},
    )


def _notes(ground: Ground) -> Iterator[str]:
    if not ground.history.decisions and any(job.origin.proposer in ("rules", FORK) for job in ground.history.jobs):
        yield "decisions were not kept when this study ran: the ledger is from before they were"
