"""Replay: every config of a study derived again from its ledger alone, and held against what the ledger has.

Decisions are made again from the readings, rules and limits that were kept with them; repeats, confirmations and
remedies are their parents with their edits. What a person gave is the ground that all of it stands on, and is not
derived. Config files that are still on disk are compared byte for byte; nothing else of the machine is looked at.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from auto_loop.assembly.deriving import Kept, derived
from auto_loop.assembly.differences import NOT_THERE, Difference, config_difference, first_difference
from auto_loop.assembly.readings_seen import readings_differ
from auto_loop.assembly.replay_decisions import Compared, Rows, compared
from auto_loop.assembly.rulebooks import Rules, rules_of
from auto_loop.domain.config import NO_TYPES, Config, FieldTypes, Json
from auto_loop.domain.decision import Decision, DecisionId, DecisionKind, rules_asked
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.history import History, ProposalRecord
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, REPEAT, Job, JobId
from auto_loop.ledger.reading import Reading
from auto_loop.workspace.configs import config_text

PERSON = "person"
_BY_RULES = (DecisionKind.ROUND, DecisionKind.JOB, DecisionKind.FORK)
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


@dataclass(slots=True, kw_only=True)
class _Ground:
    """What a study is derived from, and what has come of it so far."""

    history: History
    fingerprints: Mapping[JobId, str]
    root: Path
    rulebook: Callable[[str], Mapping[str, Json]]
    jobs: dict[JobId, Job] = field(default_factory=dict)
    rules: dict[str, Rules | str] = field(default_factory=dict)
    types: dict[int, FieldTypes] = field(default_factory=dict)
    found: list[Difference] = field(default_factory=list)
    configs: dict[JobId, Config] = field(default_factory=dict)
    causes: dict[JobId, str] = field(default_factory=dict)
    made: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))


def replay(reading: Reading, study: str, root: Path) -> Replayed:
    """The study derived again. RefusedError when the ledger has none of that name."""
    history = reading.history(study)
    ground = _Ground(
        history=history,
        fingerprints=reading.config_fingerprints(study),
        root=root,
        rulebook=reading.decisions.rulebook,
        jobs={job.id: job for job in history.jobs},
    )
    _check_configs(ground)
    _decisions(ground)
    for job in history.jobs:
        _job(ground, job)
    return _told(ground)


def _check_configs(ground: _Ground) -> None:
    """Every config is kept under its fingerprint and in one form: a changed byte shows."""
    sound: dict[str, str] = {}
    for job in ground.history.jobs:
        kept = ground.fingerprints.get(job.id, "")
        if job.config.text not in sound:
            sound[job.config.text] = _fault_of(job.config, kept)
        if fault := sound[job.config.text]:
            derived_from: Json = f"fingerprint {kept[:12]}"
            ground.found.append(Difference(what=f"kept config: {fault}", kept=fault, derived=derived_from, job=job.id))


def _fault_of(config: Config, fingerprint: str) -> str:
    try:
        if config.fingerprint != fingerprint:
            return f"it has fingerprint {config.fingerprint[:12]}"
        return "" if Config.of(config.data()).text == config.text else "it is not written as configs are kept"
    except ValueError as error:
        return f"it is no JSON ({error})"


def _decisions(ground: _Ground) -> None:
    proposals: defaultdict[DecisionId | None, list[ProposalRecord]] = defaultdict(list)
    for row in ground.history.proposals:
        proposals[row.decision].append(row)
    silences = defaultdict(list)
    for one in ground.history.silences:
        silences[one.loop, one.round].append(one.silence)
    for decision in ground.history.decisions:
        if decision.kind in _BY_RULES:
            rows = Rows(
                decision=decision,
                proposals=proposals[decision.id],
                silences=silences[decision.loop, decision.round],
                last=_last(ground, decision),
            )
            _decision(ground, rows)


def _last(ground: _Ground, decision: Decision) -> str:
    """What a last round says of proposals without a place; empty for any other round."""
    rounds = next((loop.flags.get("rounds") for loop in ground.history.loops if loop.number == decision.loop), None)
    if decision.kind is not DecisionKind.ROUND or not isinstance(rounds, int) or decision.round < rounds:
        return ""
    return f"round {decision.round} was the last one (--rounds {rounds})"


def _decision(ground: _Ground, rows: Rows) -> None:
    decision = rows.decision
    try:
        found = _made_again(ground, rows)
    except (AutoLoopError, ValueError, TypeError, KeyError) as error:  # a changed byte may make anything of it
        said = error.faults[0].render() if isinstance(error, AutoLoopError) else f"it cannot be read ({error})"
        found = Compared(differences=(_broken(decision, said),))
    if found is None:
        cause = ground.rules[decision.rulebook]
        ground.causes |= {row.child: str(cause) for row in rows.proposals if row.child is not None}
        return
    ground.made[decision.loop] += 1
    ground.found += found.differences
    ground.configs |= found.configs


def _broken(decision: Decision, said: str) -> Difference:
    return Difference(what="decision", kept=said, derived=NOT_THERE, decision=decision.id)


def _made_again(ground: _Ground, rows: Rows) -> Compared | None:
    """None when its rules cannot be read any more."""
    decision = rows.decision
    asked = rules_asked(decision.detail)
    rules = _rules(ground, decision)
    if isinstance(rules, str):
        return None
    kept = Kept(kind=decision.kind, asked=asked, rules=rules, jobs=ground.jobs)
    found = compared(kept, derived(kept), rows)
    seen = () if decision.kind is DecisionKind.FORK else readings_differ(kept, ground.history.summaries, decision)
    return Compared(differences=(*seen, *found.differences), configs=found.configs)


def _rules(ground: _Ground, decision: Decision) -> Rules | str:
    """The rules of a decision, read once; a text says why they cannot be read."""
    name = decision.rulebook
    if name not in ground.rules:
        kept = ground.rulebook(name)
        text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        own = sha256(text.encode()).hexdigest()
        if own != name:
            what = "rulebook: it has another fingerprint than it was kept under"
            ground.found.append(Difference(what=what, kept=f"{own[:12]}", derived=f"{name[:12]}", decision=decision.id))
        try:
            ground.rules[name] = rules_of(kept)
        except AutoLoopError as error:
            first = error.faults[0].render().splitlines()[0]
            ground.rules[name] = f"this program cannot read its pack any more: {first}"
    rules = ground.rules[name]
    if isinstance(rules, Rules):
        ground.types.setdefault(decision.loop, rules.types)
    return rules


def _job(ground: _Ground, job: Job) -> None:
    """A job that no decision gave: by its parent and edits. And every derived one's file."""
    if job.id not in ground.configs and job.id not in ground.causes and not is_given(job):
        _by_edits(ground, job)
    if job.id in ground.configs:
        ground.found += _file(ground.root, job)


def is_given(job: Job) -> bool:
    """Whether a person named the config, and nothing is known of how it was made."""
    return job.origin.parent is None and not job.origin.changes


def _by_edits(ground: _Ground, job: Job) -> None:
    kinds = (REPEAT, CONFIRMATION, REMEDY)
    simple = job.origin.proposer in kinds and job.origin.rule in ("", *_remedies(job))
    found, differing = _tried(ground, job)
    if found is None and differing is None:
        known = "its parent's config is not in the ledger"
        ground.causes[job.id] = known
    elif found is not None and (simple or job.origin.proposer == PERSON):
        ground.configs[job.id] = found
    elif simple:
        place, ours, theirs = differing or ("", None, None)
        ground.found.append(Difference(what="config", place=place, kept=ours, derived=theirs, job=job.id))
    elif job.origin.proposer == PERSON:
        ground.causes[job.id] = "no config that the ledger has of its base file gives it: the file was another then"
    else:
        gives = "do" if found is not None else "do not"
        ground.causes[job.id] = f"{NOT_KEPT} (parent and edits {gives} give it)"


def _remedies(job: Job) -> tuple[str, ...]:
    return (job.origin.rule,) if job.origin.proposer == REMEDY else ()


def _tried(ground: _Ground, job: Job) -> tuple[Config | None, tuple[str, Json, Json] | None]:
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


def _parents(ground: _Ground, job: Job) -> Iterable[Config]:
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


def _told(ground: _Ground) -> Replayed:
    bad = {one.job for one in ground.found}
    return Replayed(
        study=ground.history.study.name,
        loops=tuple(_loop(ground, loop.number, bad) for loop in ground.history.loops),
        differences=tuple(ground.found),
        notes=tuple(_notes(ground)),
        names={job.id: job.name for job in ground.history.jobs},
    )


def _loop(ground: _Ground, number: int, bad: set[JobId | None]) -> LoopReplayed:
    jobs = [job for job in ground.history.jobs if job.loop == number]
    causes: defaultdict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.id not in bad and job.id in ground.causes:
            causes[ground.causes[job.id]].append(job.name)
    return LoopReplayed(
        loop=number,
        jobs=len(jobs),
        given=sum(is_given(job) for job in jobs if job.id not in bad),
        equal=sum(job.id in ground.configs for job in jobs if job.id not in bad),
        different=sum(job.id in bad for job in jobs),
        decisions=ground.made[number],
        not_derived={cause: tuple(names) for cause, names in causes.items()},
    )


def _notes(ground: _Ground) -> Iterator[str]:
    if not ground.history.decisions and any(job.origin.proposer in ("rules", FORK) for job in ground.history.jobs):
        yield "decisions were not kept when this study ran: the ledger is from before they were"
