"""The engine: from a finished run's summary to what its pack's rules would change next."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Config, Json
from auto_loop.domain.edits import Edit, apply
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.proposal import Proposal
from auto_loop.domain.summary import Summary, summary_from_json
from auto_loop.rules.explain import Shortfall
from auto_loop.rules.facts import Facts, facts_of
from auto_loop.rules.model import Changes, Computed, Pack, Rule
from auto_loop.rules.pack import shipped_pack

USUAL_PACK = "act_ot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What the rules said about one run: proposals, best first; the rule that came nearest, with the comparison
    that decided and its value; and the rules that could not be judged, with what they lacked."""

    proposals: tuple[Proposal, ...]
    nearest: str = ""
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def decide(summary: Summary | Mapping[str, Json], pack: Pack | None = None) -> list[Proposal]:
    """The proposals for a finished run, best first.

    `summary` is a Summary or the plain mapping that `analyze_offline` writes. Without a config in it, conditions on
    the config are unknown, and rules that need it stay silent. The pack is `act_ot` unless given.
    """
    return list(fire(pack or shipped_pack(USUAL_PACK), summary).proposals)


def fire(pack: Pack, summary: Summary | Mapping[str, Json]) -> Firing:
    """All of the pack's rules held against one run."""
    known = summary if isinstance(summary, Summary) else summary_from_json(summary)
    facts = facts_of(known, pack.canonical)
    fired: list[Proposal] = []
    silent: list[tuple[Rule, Shortfall]] = []
    for rule in pack.rules:
        found = _proposal(rule, facts, known.config)
        if isinstance(found, Proposal):
            fired.append(found)
        else:
            silent.append((rule, found))
    nearest = min(silent, key=lambda one: one[1].distance, default=None)
    return Firing(
        proposals=tuple(sorted(fired, key=lambda proposal: -proposal.priority)),
        nearest=f"{nearest[0].name}: {nearest[1].says}" if nearest else "",
        unknown={rule.name: gaps for rule, _ in silent if (gaps := rule.when.missing(facts))},
    )


def _proposal(rule: Rule, facts: Facts, config: Config | None) -> Proposal | Shortfall:
    """The rule's proposal, or what kept it silent."""
    if not rule.when.holds(facts):
        return rule.when.shortfall(facts)
    changes, unknown = _values(rule.changes, facts)
    if unknown:
        return Shortfall(distance=1.0, says=f"it holds, but {', '.join(unknown)} cannot be computed")
    if config is not None and _changes_nothing(config, changes):
        return Shortfall(distance=1.0, says="it holds, but the config already has all that it would set")
    return Proposal(
        changes=changes,
        reason=rule.reason.fill(facts),
        rule=rule.name,
        priority=rule.priority,
        group=rule.group,
        evidence=_evidence(rule, facts),
    )


def _values(changes: Changes, facts: Facts) -> tuple[dict[str, Json], list[str]]:
    """The changes with computed values in place, and the expressions whose value is unknown."""
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
            values[key] = float(f"{number:.4g}")
    return values, unknown


def _changes_nothing(config: Config, changes: Mapping[str, Json]) -> bool:
    """Whether the config is the same after the changes. Changes that do not apply are left to the panel to refuse."""
    try:
        edits = [Edit.from_change(key, value) for key, value in changes.items()]
        return apply(config, edits).data() == config.data()
    except MisuseError:
        return False


def _evidence(rule: Rule, facts: Facts) -> dict[str, Json]:
    """The readings that the condition rests on, and the metrics that computed values aim at."""
    evidence: dict[str, Json] = {reading.text: reading.number(facts) for reading in rule.when.readings}
    aims: list[Json] = [v.predict for v in rule.changes.values() if isinstance(v, Computed) and v.predict]
    return {**evidence, "predicts": aims} if aims else evidence
