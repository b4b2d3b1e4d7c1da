"""The engine: from a finished run's summary to what ails it by its pack, and what the rules would change next."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Config, Json
from auto_loop.domain.edits import Edit, apply
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.proposal import Proposal
from auto_loop.domain.summary import Summary, summary_from_json
from auto_loop.rules.condition import Expression
from auto_loop.rules.explain import Shortfall
from auto_loop.rules.facts import Facts, facts_of
from auto_loop.rules.model import Changes, Computed, Pack, Rule
from auto_loop.rules.nodes import Unknown
from auto_loop.rules.pack import shipped_pack
from auto_loop.rules.recorded import evidence, facts_of_readings, readings_of_pack

USUAL_PACK = "act_ot"
NO_SHIFT: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A diagnosis that holds of a run, with its figures in place."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What a pack said about one run.

    Proposals, best first; the diagnoses; the rule that came nearest, with the comparison that decided and its value;
    the rules that could not be judged, with what they lacked; every reading that was asked, by which `refire` finds
    the same again; and the rules in the order in which they were considered.
    """

    proposals: tuple[Proposal, ...]
    nearest: str = ""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    diagnoses: tuple[Said, ...] = ()
    readings: Mapping[str, Json] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Silent:
    """A rule that proposed nothing: how far off it was, and what it could not be judged without."""

    rule: Rule
    shortfall: Shortfall
    gaps: tuple[str, ...] = ()


def decide(summary: Summary | Mapping[str, Json], pack: Pack | None = None) -> list[Proposal]:
    """The proposals for a finished run, best first.

    `summary` is a Summary or the plain mapping that `analyze_offline` writes. Without a config in it, conditions on
    the config are unknown, and rules that need it stay silent. The pack is `act_ot` unless given.
    """
    return list(fire(pack or shipped_pack(USUAL_PACK), summary).proposals)


def fire(pack: Pack, summary: Summary | Mapping[str, Json], shift: Mapping[str, int] = NO_SHIFT) -> Firing:
    """All of the pack's rules and diagnoses held against one run; `shift` is added to the priorities of its rules."""
    known = summary if isinstance(summary, Summary) else summary_from_json(summary)
    return _fired(pack, facts_of(known, pack.canonical), known.config, shift)


def refire(
    pack: Pack, config: Config | None, readings: Mapping[str, Json], shift: Mapping[str, int] = NO_SHIFT
) -> Firing:
    """The same firing again, from a run's config and the readings of the first time; its series may be gone."""
    return _fired(pack, facts_of_readings(readings, config, pack.canonical), config, shift)


def computed(changes: Changes, facts: Facts) -> tuple[dict[str, Json], list[str]]:
    """The changes with computed values in place, rounded, and the expressions whose value is unknown."""
    values: dict[str, Json] = {}
    unknown: list[str] = []
    for key, value in changes.items():
        if not isinstance(value, Computed):
            values[key] = value
            continue
        number = value.expression.number(facts)
        if number is None:
            unknown.append(f"{key} = {value.expression.text}")
        else:
            values[key] = float(f"{number:.{_digits(key)}g}")
    return values, unknown


def _digits(key: str) -> int:
    """Two digits of a factor: a further one is below what any law foresees, and with it the noise of a run would make
    next round's proposal a config that the study's memory does not know again."""
    return 2 if key.endswith("@mul") else 4


def _fired(pack: Pack, facts: Facts, config: Config | None, shift: Mapping[str, int]) -> Firing:
    rules = sorted(pack.rules, key=lambda rule: -_priority(rule, shift))
    found = [_held(rule, facts, config, _priority(rule, shift)) for rule in rules]
    proposals = [one for one in found if isinstance(one, Proposal)]
    silent = [one for one in found if isinstance(one, _Silent)]
    nearest = min(silent, key=lambda one: one.shortfall.distance, default=None)
    return Firing(
        proposals=tuple(sorted(proposals, key=lambda one: (-one.priority, _size(config, one.changes)))),
        nearest=f"{nearest.rule.name}: {nearest.shortfall.says}" if nearest else "",
        unknown={one.rule.name: one.gaps for one in silent if one.gaps},
        diagnoses=tuple(
            Said(name=one.name, text=one.says.fill(facts)) for one in pack.diagnoses if one.when.holds(facts)
        ),
        readings=readings_of_pack(pack, facts),
        order=tuple(rule.name for rule in rules),
    )


def _priority(rule: Rule, shift: Mapping[str, int]) -> int:
    return rule.priority + shift.get(rule.name, 0)


def _held(rule: Rule, facts: Facts, config: Config | None, priority: int) -> Proposal | _Silent:
    """The rule's proposal, or what kept it silent."""
    value = rule.when.evaluate(facts)
    if value is not True:
        gaps = rule.when.missing(facts) if isinstance(value, Unknown) else ()
        return _Silent(rule=rule, shortfall=rule.when.shortfall(facts), gaps=gaps)
    changes, unknown = computed(rule.changes, facts)
    if unknown:
        says = f"it holds, but {', '.join(unknown)} cannot be computed"
        lacking = [gap for one in _expressions(rule.changes) for gap in one.missing(facts)]
        return _Silent(rule=rule, shortfall=Shortfall(distance=1.0, says=says), gaps=tuple(dict.fromkeys(lacking)))
    if config is not None and _changes_nothing(config, changes):
        says = "it holds, but the config already has all that it would set"
        return _Silent(rule=rule, shortfall=Shortfall(distance=1.0, says=says))
    return Proposal(
        changes=changes,
        reason=rule.reason.fill(facts),
        rule=rule.name,
        priority=priority,
        group=rule.group,
        evidence=_evidence(rule, facts),
    )


def _expressions(changes: Changes) -> list[Expression]:
    return [value.expression for value in changes.values() if isinstance(value, Computed)]


def _evidence(rule: Rule, facts: Facts) -> dict[str, Json]:
    """The readings that condition and computed values rest on, and the metrics that the latter aim at."""
    found = evidence([rule.when, *_expressions(rule.changes)], facts)
    aims: list[Json] = [v.predict for v in rule.changes.values() if isinstance(v, Computed) and v.predict]
    return {**found, "predicts": aims} if aims else found


def _changes_nothing(config: Config, changes: Mapping[str, Json]) -> bool:
    """Whether the config is the same after the changes. Changes that do not apply are left to the panel to refuse."""
    changed = _changed(config, changes)
    return changed is not None and changed == config.data()


def _changed(config: Config, changes: Mapping[str, Json]) -> dict[str, Json] | None:
    try:
        return apply(config, [Edit.from_change(key, value) for key, value in changes.items()]).data()
    except MisuseError:
        return None


def _size(config: Config | None, changes: Mapping[str, Json]) -> float:
    """How large a change is: the largest factor by which it changes any number, as |ln|; infinite for other changes.

    Relative, because the config's numbers have units of their own. Of proposals of one priority the smallest is first.
    """
    after = None if config is None else _changed(config, changes)
    return math.inf if config is None or after is None else _farthest(config.data(), after)


def _farthest(before: Json, after: Json) -> float:
    match before, after:
        case dict(), dict() if before.keys() == after.keys():
            return max((_farthest(before[key], after[key]) for key in before), default=0.0)
        case list(), list() if len(before) == len(after):
            return max((_farthest(*pair) for pair in zip(before, after, strict=True)), default=0.0)
        case (int() | float(), int() | float()) if before * after > 0:
            return abs(math.log(abs(after)) - math.log(abs(before)))
        case _:
            return 0.0 if before == after else math.inf
