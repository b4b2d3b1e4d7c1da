"""Decisions: one asking of the rules kept whole, so that it can be explained, and derived again byte for byte."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import NewType

from auto_loop.domain.config import Json
from auto_loop.domain.effect import Effect, Finding, Method
from auto_loop.domain.job import JobId

DecisionId = NewType("DecisionId", int)


class DecisionKind(StrEnum):
    """What was decided: what follows a round, or a single job (steady state), the successor of a job that a live rule
    stopped, that a winner is to be confirmed, and what its confirmation showed."""

    ROUND = "round"
    JOB = "job"
    FORK = "fork"
    SCREENING = "screening"
    CONFIRMATION = "confirmation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision. `detail` is a `RulesAsked` or an `EffectSeen` as plain JSON; `rulebook` the fingerprint of what it
    was made by (empty: by no rules). `id` is None until the ledger has numbered it."""

    loop: int
    round: int
    kind: DecisionKind
    at: float
    detail: Mapping[str, Json] = field(default_factory=dict)
    rulebook: str = ""
    id: DecisionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentSeen:
    """A parent as the rules saw it: every reading that they asked of its run, by a stable key, and what came of them.

    `repeats` are the jobs of its cell that were seen together, itself among them. `diagnoses` are names and texts;
    `unknown` are the rules that could not be judged, with what they lacked.
    """

    job: JobId
    repeats: tuple[JobId, ...] = ()
    readings: Mapping[str, Json] = field(default_factory=dict)
    diagnoses: tuple[tuple[str, str], ...] = ()
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesAsked:
    """What a decision by rules was made on: parents in the order of their rank, and what limited the choice.

    `event` says what gave rise to it. `shift` is what track records added to the rules' priorities. `hits` are the
    fingerprints of tried configs that proposals met; `refused_by_trainer` the (parent, rule) pairs that the trainer's
    class refused. `rule` is the live rule of a fork.
    """

    event: str
    parents: tuple[ParentSeen, ...]
    room: int
    per_parent: int
    shift: Mapping[str, int] = field(default_factory=dict)
    hits: tuple[str, ...] = ()
    refused_by_trainer: tuple[tuple[JobId, str], ...] = ()
    rule: str = ""

    def to_json(self) -> dict[str, Json]:
        """Plain JSON for the ledger."""
        return {
            "event": self.event,
            "parents": [_parent_to_json(one) for one in self.parents],
            "room": self.room,
            "per_parent": self.per_parent,
            "shift": dict(self.shift),
            "hits": list(self.hits),
            "refused_by_trainer": [[job, rule] for job, rule in self.refused_by_trainer],
            "rule": self.rule,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSeen:
    """A winner held against the base: as it was screened, or as it was confirmed on fresh seeds.

    `candidate` and `base` are the first jobs of their cells, `seeds` those that both ran under, or are to. `number`
    counts the study's confirmations from 1: it sets the level.
    """

    candidate: JobId
    base: JobId
    seeds: tuple[int, ...]
    effect: Effect
    number: int

    def to_json(self) -> dict[str, Json]:
        """Plain JSON for the ledger."""
        return {
            "candidate": self.candidate,
            "base": self.base,
            "seeds": list(self.seeds),
            "effect": asdict(self.effect),
            "number": self.number,
        }


def rules_asked(detail: Mapping[str, Json]) -> RulesAsked:
    """What `RulesAsked.to_json` wrote. ValueError when it is something else."""
    data = _Plain(detail)
    return RulesAsked(
        event=data.text("event"),
        parents=tuple(_parent_of(_Plain(one)) for one in data.mappings("parents")),
        room=data.whole("room"),
        per_parent=data.whole("per_parent"),
        shift={name: _whole(value) for name, value in data.mapping("shift").items()},
        hits=tuple(str(one) for one in data.items("hits")),
        refused_by_trainer=tuple(_pair(one) for one in data.items("refused_by_trainer")),
        rule=data.text("rule"),
    )


def effect_seen(detail: Mapping[str, Json]) -> EffectSeen:
    """What `EffectSeen.to_json` wrote. ValueError when it is something else."""
    data = _Plain(detail)
    return EffectSeen(
        candidate=JobId(data.whole("candidate")),
        base=JobId(data.whole("base")),
        seeds=tuple(_whole(one) for one in data.items("seeds")),
        effect=_effect_of(_Plain(data.mapping("effect"))),
        number=data.whole("number"),
    )


def _parent_to_json(one: ParentSeen) -> dict[str, Json]:
    return {
        "job": one.job,
        "repeats": list(one.repeats),
        "readings": dict(one.readings),
        "diagnoses": [[name, text] for name, text in one.diagnoses],
        "unknown": {rule: list(gaps) for rule, gaps in one.unknown.items()},
    }


def _parent_of(data: "_Plain") -> ParentSeen:
    return ParentSeen(
        job=JobId(data.whole("job")),
        repeats=tuple(JobId(_whole(one)) for one in data.items("repeats")),
        readings=data.mapping("readings"),
        diagnoses=tuple((str(name), str(text)) for name, text in map(_two, data.items("diagnoses"))),
        unknown={
            rule: tuple(map(str, gaps)) for rule, gaps in data.mapping("unknown").items() if isinstance(gaps, list)
        },
    )


def _effect_of(data: "_Plain") -> Effect:
    return Effect(
        estimate=data.number("estimate"),
        low=data.number("low"),
        high=data.number("high"),
        level=data.number("level") or 0.0,
        method=Method(data.text("method")),
        pairs=data.whole("pairs"),
        n_candidate=data.whole("n_candidate"),
        n_base=data.whole("n_base"),
        finding=Finding(data.text("finding")),
        lost=data.whole("lost"),
    )


def _pair(value: Json) -> tuple[JobId, str]:
    job, rule = _two(value)
    return JobId(_whole(job)), str(rule)


def _two(value: Json) -> tuple[Json, Json]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"no pair: {value!r:.60}")
    return value[0], value[1]


def _whole(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"no whole number: {value!r:.60}")
    return value


class _Plain:
    """Plain JSON asked for values of a certain kind."""

    def __init__(self, data: Mapping[str, Json]) -> None:
        self._data = data

    def text(self, key: str) -> str:
        return str(self._data.get(key, ""))

    def whole(self, key: str) -> int:
        return _whole(self._data.get(key))

    def number(self, key: str) -> float | None:
        value = self._data.get(key)
        return float(value) if isinstance(value, int | float) else None

    def items(self, key: str) -> list[Json]:
        value = self._data.get(key, [])
        if not isinstance(value, list):
            raise ValueError(f"{key} is no list: {value!r:.60}")
        return value

    def mapping(self, key: str) -> dict[str, Json]:
        value = self._data.get(key, {})
        if not isinstance(value, dict):
            raise ValueError(f"{key} is no mapping: {value!r:.60}")
        return value

    def mappings(self, key: str) -> list[dict[str, Json]]:
        found = [one for one in self.items(key) if isinstance(one, dict)]
        if len(found) != len(self.items(key)):
            raise ValueError(f"{key} holds something else than mappings")
        return found
