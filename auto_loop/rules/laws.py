"""Laws: what a pack expects of a changed config's metrics, computed from its parent's run.

In a law `next.PATH` is a value of the changed config and any other path one of the parent's. A config with a key of
its own called `next` loses nothing: the changed config's is `next.next`; only the parent's cannot be named in a law,
and everywhere else `next` is a key as any other.
"""

from dataclasses import replace

from auto_loop.domain.config import Config
from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import NEXT
from auto_loop.rules.model import Law, Pack


def predictions(pack: Pack, facts: Facts, config: Config) -> dict[str, float]:
    """The metrics that the pack's laws foresee for `config`, what edits and guardrails made of the run's own.

    `facts` are the parent run's. A law whose `when` is not true, or whose value is unknown, says nothing; of several
    for one metric the first that speaks counts.
    """
    both = changed_facts(facts, config)
    found: dict[str, float] = {}
    for law in pack.laws:
        value = _value(law, both)
        if value is not None:
            found.setdefault(pack.canonical(law.metric), value)
    return found


def changed_facts(facts: Facts, config: Config) -> Facts:
    """The facts as a law sees them: the parent's, with `config` as its `next`."""
    return replace(facts, config={**(facts.config or {}), NEXT: config.data()})


def _value(law: Law, both: Facts) -> float | None:
    if law.when is not None and not law.when.holds(both):
        return None
    return law.value.number(both)
