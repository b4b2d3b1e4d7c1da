"""Laws: what is foreseen for a changed config, and when nothing is."""

import json
from typing import Any

from auto_loop.domain.config import Config
from auto_loop.domain.summary import summary_from_json
from auto_loop.rules.engine import fire
from auto_loop.rules.facts import facts_of
from auto_loop.rules.laws import predictions
from auto_loop.rules.pack import parse
from auto_loop.rules.recorded import facts_of_readings

PACK = parse("""
[metrics.mass]
aliases = ["m"]
[[law]]
metric = "m"
value = 'last("mass") * s / next.s'
when = 'next.kind == kind'
[[law]]
metric = "mass"
value = '-1'
[[law]]
metric = "cost"
value = 'sum(next.f.*.w / f.*.w * last("cost/*"))'
[[law]]
metric = "lost"
value = '1 / next.zero'
[[rule]]
name = "aims at nothing known"
when = 'last("mass") < 0'
reason = "r"
change = { "s@mul" = { expr = "2", predict = "no law of this" } }
""")
CONFIG: dict[str, Any] = {"s": 2.0, "kind": "a", "zero": 0, "f": [{"w": 1.0}, {"w": 0.5}]}
RUN = summary_from_json(
    {"config": CONFIG, "metrics": {"m": {"last": -6.0}, "cost/0": {"last": 10.0}, "cost/1": {"last": 20.0}}}
)


def foreseen(changed: dict[str, Any], pack: Any = PACK, run: Any = RUN) -> dict[str, float]:
    return predictions(pack, facts_of(run, pack.canonical), Config.of(changed))


def test_next_is_the_changed_config_and_everything_else_the_parent_s() -> None:
    changed = {**CONFIG, "s": 4.0, "f": [{"w": 0.1}, {"w": 1.0}]}
    assert foreseen(changed) == {"mass": -3.0, "cost": 41.0}


def test_of_several_laws_the_first_that_speaks_counts() -> None:
    assert foreseen({**CONFIG, "kind": "b"})["mass"] == -1.0


def test_a_law_that_lacks_something_is_silent() -> None:
    assert foreseen({"s": 0, "kind": "a"}) == {"mass": -1.0}
    assert foreseen({}, run=summary_from_json({})) == {"mass": -1.0}
    assert "lost" not in foreseen(CONFIG)


def test_a_config_with_a_key_called_next_keeps_it_in_rules_and_in_the_changed_config() -> None:
    pack = parse("""
[[rule]]
name = "r"
when = 'next.a > 1 and next.next == 3'
reason = "{next.a}"
change = { "next.a" = 1 }
[[law]]
metric = "x"
value = 'next.next.a * 10'
""")
    run = summary_from_json({"config": {"next": {"a": 2, "next": 3}}})
    (proposal,) = fire(pack, run).proposals
    assert proposal.reason == "2"
    assert foreseen({"next": {"a": 5}}, pack, run) == {"x": 50.0}


def test_what_a_computed_change_aims_at_need_not_have_a_law() -> None:
    (proposal,) = fire(PACK, RUN).proposals
    assert proposal.evidence["predicts"] == ["no law of this"]
    assert "no law of this" not in foreseen(CONFIG)


def test_recorded_readings_foresee_the_same() -> None:
    readings = json.loads(json.dumps(fire(PACK, RUN).readings, allow_nan=False))
    changed = Config.of({**CONFIG, "s": 3.0, "f": [{"w": 0.3}, {"w": 0.2}]})
    facts = facts_of_readings(readings, Config.of(CONFIG), PACK.canonical)
    assert predictions(PACK, facts, changed) == foreseen(changed.data())
    assert len(foreseen(changed.data())) == 2
