"""Each rule of the pack act_ot: a run that it fires on and one that it does not, beside what the rule is about."""

from typing import Any

import pytest

from auto_loop.domain.edits import parse_edits
from auto_loop.domain.series import Source
from auto_loop.domain.summary import summary_from_json
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits, judge
from auto_loop.rules import decide
from auto_loop.rules.engine import computed, fire
from auto_loop.rules.facts import facts_of
from auto_loop.rules.pack import shipped_pack
from tests.packs.studies import BASELINE, at_cost, job_of, loss_config, mass, metric, run, with_values

MASS, DIAG, LOSS, COST = "train/ot_pi_sum", "train/ot_pi_diag", "train/ot_loss", "train/ot_cost/action"
RATIO, M_EFF, S, WARNINGS = "train/ot_grad_ratio", "train/ot_m_eff", "train/ot_s", "train/ot_not_converged"
L1, TRAIN_L1, NORM, TRAIN = "eval/offline_eval/avg_l1", "train/l1_loss", "train/grad_norm", "train/loss"
DEAD, WEAK, ALIVE = 1e-40, 1e-5, 0.2
PACK = shipped_pack("act_ot")


PLATEAU = {L1: metric(0.30, 0.301), TRAIN_L1: metric(0.1, 1.0)}
EARLY_BEST = {L1: metric(0.3, 0.6, best_step=200), TRAIN_L1: metric(0.1, 1.0, best_step=500)}
FALLING = {L1: metric(0.3, 0.6, best_step=500), TRAIN_L1: metric(0.1, 1.0, best_step=500)}
WIDE = {"reg": 0.5, "tau_src": 3.0, "tau_tgt": 3.0}
LIGHT = with_values(ot__loss_config__features__3__weight_label=0.002)
FEATURES = BASELINE["ot"]["loss_config"]["features"]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mass too low": (run(**mass(DEAD)), run(**mass(WEAK))),
    "mass too low: labels, computed": (at_cost(DEAD, 600.0, 5.0), at_cost(DEAD, 600.0, 10.0)),
    "mass too low: inputs normalised": (
        at_cost(DEAD, 600.0, 1.0, **{"train/ot_label_spread": 50.0}),
        at_cost(DEAD, 600.0, 1.0, **{"train/ot_label_spread": 1.1}),
    ),
    "mass too low: taus, computed": (at_cost(WEAK, 120.0, 1.0), at_cost(DEAD, 150.0, 1.0)),
    "mass too low: reg, computed": (at_cost(WEAK, 12.0, 1.0), at_cost(WEAK, 16.0, 1.0)),
    "mass too low: all costs, computed": (at_cost(DEAD, 50.0, 90.0), at_cost(DEAD, 50.0, 2.0)),
    "mass too low: labels, computed from the effective cost": (
        run(**mass(DEAD, **{M_EFF: 200.0})),
        run(**mass(DEAD, **{M_EFF: 4.0})),
    ),
    "mass too low: labels, computed from the mass": (
        run(**mass(DEAD)),
        run(**mass(DEAD, **{M_EFF: 200.0})),
    ),
    "mass too low: aggressive": (run(**mass(DEAD)), run(**mass(ALIVE))),
    "mass too low: reg to 0.4": (run(**mass(DEAD)), run(loss_config(reg=0.4), **mass(DEAD))),
    "mass too low: reg to 0.5": (run(loss_config(reg=0.4), **mass(DEAD)), run(loss_config(reg=0.5), **mass(DEAD))),
    "mass too low: tau to 2": (run(loss_config(reg=0.4), **mass(DEAD)), run(loss_config(reg=0.3), **mass(DEAD))),
    "mass too low: tau to 3": (
        run(loss_config(reg=0.4, tau_src=2.0, tau_tgt=2.0), **mass(DEAD)),
        run(loss_config(**WIDE), **mass(DEAD)),
    ),
    "mass too low: action label to 0.002": (run(**mass(DEAD)), run(LIGHT, **mass(DEAD))),
    "mass too low: 20 nearest source episodes": (
        run(**mass(DEAD)),
        run(with_values(ot__topk_src_episodes=20), **mass(DEAD)),
    ),
    "mass too low: less transport, lighter labels": (
        run(**mass(DEAD)),
        run(with_values(ot__lambda_ot=0.05), **mass(DEAD)),
    ),
    "mass too low: labels a tenth": (
        run(**mass(DEAD)),
        run(loss_config(features=[{**one, "weight_label": 0.001} for one in FEATURES]), **mass(DEAD)),
    ),
    "mass weak: reg up": (run(**mass(WEAK)), run(loss_config(reg=0.5), **mass(WEAK))),
    "mass weak: tau doubled": (run(**mass(WEAK)), run(**mass(DEAD))),
    "mass weak: labels halved": (run(**mass(WEAK)), run(**mass(ALIVE))),
    "action cost too high": (run(**mass(DEAD, **{COST: 600.0})), run(LIGHT, **mass(DEAD, **{COST: 600.0}))),
    "transport dominates": (run(**mass(ALIVE, **{RATIO: 2.5})), run(**mass(ALIVE, **{RATIO: 0.5}))),
    "transport inert": (run(**mass(ALIVE, **{RATIO: 0.03})), run(**mass(ALIVE, **{RATIO: 0.01}))),
    "transport inert: scaled costs, same weight, more lambda": (
        at_cost(ALIVE, 3.0, 10.0, **{RATIO: 0.01}),
        at_cost(ALIVE, 3.0, 50.0, **{RATIO: 0.01}),
    ),
    "transport inert: more mass": (
        at_cost(0.02, 6.0, 1.0, **{RATIO: 0.01}),
        at_cost(0.2, 3.0, 1.0, **{RATIO: 0.01}),
    ),
    "more OT mixing": (run(**mass(WEAK)), run(**mass(DEAD))),
    "more OT mixing: a step further": (
        run(with_values(ot__bc_src_weight=0.7), **mass(ALIVE)),
        run(with_values(ot__bc_src_weight=0.7), **mass(WEAK)),
    ),
    "mass high, cost flat": (
        run(**mass(ALIVE, **{LOSS: metric(1.0, 1.01)})),
        run(**mass(ALIVE, **{LOSS: metric(1.0, 2.0)})),
    ),
    "mass above its band": (run(**mass(0.95)), run(**mass(0.5))),
    "diagonal share low": (run(**mass(ALIVE, **{DIAG: 0.01})), run(**mass(ALIVE, **{DIAG: 0.1}))),
    "diagonal share low: fixed pairing": (
        run(**mass(ALIVE, **{DIAG: 0.01})),
        run(loss_config(heuristic=True), **mass(ALIVE, **{DIAG: 0.01})),
    ),
    "diagonal share low: sharper sampling": (
        run(**mass(ALIVE, **{DIAG: 0.01})),
        run(with_values(ot__sharpness=40.0), **mass(ALIVE, **{DIAG: 0.01})),
    ),
    "diagonal share full": (run(**mass(ALIVE, **{DIAG: 0.199})), run(**mass(ALIVE, **{DIAG: 0.1}))),
    "solver warnings: reg": (run(**{WARNINGS: 3.0}), run(loss_config(reg=0.5), **{WARNINGS: 3.0})),
    "solver warnings: tau": (run(loss_config(reg=0.5), **{WARNINGS: 3.0}), run(loss_config(**WIDE), **{WARNINGS: 3.0})),
    "solver warnings: action label": (run(loss_config(**WIDE), **{WARNINGS: 3.0}), run(**{WARNINGS: 3.0})),
    "gradient norm high": (run(**{NORM: metric(40.0, 10.0)}), run(**{NORM: metric(40.0, 35.0)})),
    "loss not finite": (run(**{TRAIN: metric(0.3, nan_count=2)}), run(**{TRAIN: metric(0.3)})),
    "L1 plateau": (run(**mass(ALIVE, **EARLY_BEST)), run(**mass(DEAD, **EARLY_BEST))),
    "L1 plateau: more transport": (
        run(**mass(ALIVE, **PLATEAU, **{RATIO: 0.3})),
        run(**mass(ALIVE, **PLATEAU, **{RATIO: 3.0})),
    ),
    "L1 worse than its best": (
        run(**{L1: metric(0.33, 0.6, best=0.3)}),
        run(**{L1: metric(0.301, 0.6, best=0.3)}),
    ),
    "L1 still falling": (run(**mass(ALIVE, **FALLING)), run(**mass(ALIVE, **EARLY_BEST))),
    "beside it: more transport": (run(**mass(ALIVE)), run(**mass(ALIVE, **{RATIO: 0.8}))),
    "beside it: less transport": (run(**mass(ALIVE)), run(**mass(ALIVE, **{RATIO: 0.01}))),
    "beside it: narrower window": (
        run(**mass(ALIVE)),
        run(with_values(ot__no_window=True), **mass(ALIVE)),
    ),
}

CLONING = with_values(ot__enable=False)
LIGHT_KL = with_values(ot__enable=False, policy__kl_weight=1.0)
CASES |= {
    "cloning alone: loss still falling": (run(CLONING, **{TRAIN: metric(0.3, 3.0)}), run(**{TRAIN: metric(0.3, 3.0)})),
    "cloning alone: loss stands still": (run(CLONING, **{TRAIN: 3.0}), run(CLONING, **{TRAIN: metric(0.3, 3.0)})),
    "cloning alone: lighter KL": (run(CLONING, **{TRAIN: 3.0}), run(LIGHT_KL, **{TRAIN: 3.0})),
}


def rules_fired(summary: dict[str, Any]) -> list[str]:
    return [proposal.rule for proposal in decide(summary)]


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_fires_where_it_should_and_nowhere_else(rule: str) -> None:
    fires, silent = CASES[rule]
    assert rule in rules_fired(fires)
    assert rule not in rules_fired(silent)


def test_every_rule_of_the_pack_has_its_case() -> None:
    inherited = {rule.name for rule in shipped_pack("default").rules}
    assert {rule.name for rule in PACK.rules} - inherited == set(CASES)


@pytest.mark.parametrize("rule", CASES)
def test_without_any_metric_no_rule_fires(rule: str) -> None:
    assert rule not in rules_fired(run())


def test_a_dead_run_is_told_the_seed_s_remedies_in_the_seed_s_order() -> None:
    paths = [list(proposal.changes) for proposal in decide(run(**mass(DEAD)))]
    assert paths[0] == [
        "ot.loss_config.reg@max",
        "ot.loss_config.tau_src@max",
        "ot.loss_config.tau_tgt@max",
        "ot.lambda_ot@min",
        "ot.loss_config.features.3.weight_label@min",
        "ot.topk_src_episodes@set",
    ]
    single = [found[0].split("@")[0] for found in paths if len(found) == 1]
    order = ["ot.loss_config.reg", "ot.loss_config.features.3.weight_label", "ot.topk_src_episodes"]
    assert [path for path in single if path in order] == order


@pytest.mark.parametrize("rule", CASES)
def test_what_a_rule_proposes_reads_back_and_passes_the_pack_s_own_guardrails(rule: str) -> None:
    fires, _ = CASES[rule]
    (proposal,) = (one for one in decide(fires) if one.rule == rule)
    edits = parse_edits(f"{key}={value}" for key, value in proposal.changes.items())
    assert [edit.value for edit in edits] == list(proposal.changes.values())
    parent = job_of(fires["config"])
    candidate = Candidate(parent=parent, proposal=proposal)
    ruling = judge([candidate], guardrails=PACK.guardrails, limits=Limits(per_parent=1, round_size=1))
    assert ruling.refused == ()
    assert "unknown" not in proposal.reason or proposal.reason.startswith("cost")


def test_solver_warnings_come_first_of_all() -> None:
    assert rules_fired(run(**mass(DEAD, **{WARNINGS: 2.0})))[0] == "solver warnings: reg"


def test_less_cloning_of_the_source_is_proposed_only_once_there_is_mass() -> None:
    with_mass = [proposal for proposal in decide(run(**mass(1e-4))) if "ot.bc_src_weight@set" in proposal.changes]
    assert [dict(proposal.changes) for proposal in with_mass] == [{"ot.bc_src_weight@set": 0.7}]
    assert not any("ot.bc_src_weight@set" in proposal.changes for proposal in decide(run(**mass(9e-7))))


def test_steps_that_the_law_calls_hopeless_are_not_proposed() -> None:
    told = rules_fired(at_cost(DEAD, 600.0, 5.0))
    assert "mass too low: labels, computed" in told
    hopeless = {
        "mass too low: reg to 0.4",
        "mass too low: labels a tenth",
        "mass too low: less transport, lighter labels",
    }
    assert not hopeless & set(told)
    assert {"mass too low", "mass too low: action label to 0.002"} <= set(told)  # a hundredth of the action's label
    assert hopeless <= set(rules_fired(run(**mass(DEAD))))  # nothing is known of the cost


def test_what_does_nothing_where_one_source_episode_counts_is_not_proposed() -> None:
    one_each = {"train/ot_src_episodes": 1.3}
    assert "mass too low: 20 nearest source episodes" not in rules_fired(run(**mass(DEAD, **one_each)))
    assert "diagonal share low: sharper sampling" not in rules_fired(run(**mass(ALIVE, **{DIAG: 0.01, **one_each})))


DIAGNOSED = {
    "cost far above s": at_cost(DEAD, 600.0, 1.0),
    "labels make the cost": at_cost(DEAD, 600.0, 1.0),
    "embeddings make the cost": at_cost(DEAD, 1.0, 600.0),
    "inputs not normalised": run(**mass(DEAD, **{"train/ot_label_spread": 52.7})),
    "features shrinking": run(**{"train/ot_feature_spread": metric(0.02, 0.5)}),
    "gradient inert": run(**mass(ALIVE, **{RATIO: 0.01})),
    "gradient dominating": run(**mass(ALIVE, **{RATIO: 2.0})),
    "solver not converged": run(**{WARNINGS: 3.0, "train/ot_iters": 2000.0}),
    "one source episode each": run(**{"train/ot_src_episodes": 1.3}),
}


@pytest.mark.parametrize("name", DIAGNOSED)
def test_a_cause_is_said_with_its_figures_and_only_where_it_is_one(name: str) -> None:
    said = {one.name: one.text for one in fire(PACK, DIAGNOSED[name]).diagnoses}
    assert name in said
    assert "unknown" not in said[name].replace("unknown at the end", "")
    assert any(sign.isdigit() for sign in said[name])
    healthy = at_cost(ALIVE, 1.0, 1.0, **{RATIO: 0.4, WARNINGS: 0.0, "train/ot_feature_spread": metric(0.6, 0.5)})
    assert fire(PACK, healthy).diagnoses == ()


def test_every_diagnosis_has_its_case() -> None:
    assert {one.name for one in PACK.diagnoses} == set(DIAGNOSED)


def test_a_dead_job_is_stopped_early_with_the_computed_change_or_with_the_seed_s() -> None:
    by_name = {stop.name: stop for stop in PACK.stops}
    law, seed = by_name["mass dead early"], by_name["mass dead early: the seed's steps"]
    cases = [(at_cost(DEAD, 600.0, 1.0), law), (at_cost(DEAD, 1.0, 600.0), seed), (run(**mass(DEAD)), seed)]
    for plain, wanted in cases:
        facts = facts_of(summary_from_json(plain), PACK.canonical)
        assert [stop for stop in (law, seed) if stop.when.holds(facts)] == [wanted]
        changes, unknown = computed(wanted.changes, facts)
        assert unknown == []
        assert changes
    alive = facts_of(summary_from_json(run(**mass(WEAK))), PACK.canonical)
    assert not any(stop.when.holds(alive) for stop in (law, seed))


def test_a_run_without_a_known_config_gets_the_rules_that_need_none() -> None:
    assert rules_fired(run(None, **mass(DEAD))) == [
        "mass too low",
        "mass too low: labels, computed from the mass",
        "mass too low: aggressive",
    ]


def test_lerobot_s_own_metric_names_are_known() -> None:
    assert "mass too low" in rules_fired(run(None, **{"train/ot_ot_pi_sum": DEAD}))
    assert "mass too low" in rules_fired(run(None, ot_pi_sum=DEAD))


def test_a_config_that_knows_no_transport_gets_the_rules_of_plain_cloning() -> None:
    plain = {"policy": {"type": "act", "optimizer_lr": 1e-5, "use_vae": True, "kl_weight": 10.0}}
    fired = rules_fired(run(plain, **{TRAIN: metric(0.3, 3.0)}))
    assert fired == ["cloning alone: loss still falling", "cloning alone: lighter KL"]


def test_a_final_only_run_feeds_no_change_over_time() -> None:
    final = {**metric(40.0, 10.0), "source": Source.FINAL_ONLY.value}
    assert "gradient norm high" not in rules_fired(run(**{NORM: final}))


def test_the_nearest_rule_is_named_with_the_comparison_that_decided() -> None:
    firing = fire(PACK, run(None, **{NORM: metric(99.0, 98.0)}))
    assert firing.proposals == ()
    assert firing.nearest == 'gradient norm high: last("train/grad_norm") = 99, needs > 100'


def test_the_direction_of_each_key_metric() -> None:
    directions = {name: PACK.direction(name).value for name in PACK.key_metrics}
    assert directions[L1] == directions[NORM] == directions[TRAIN_L1] == "lower"
    assert directions[MASS] == directions[DIAG] == directions[RATIO] == "none"
    assert PACK.main_metric == L1
    assert PACK.band("ot_pi_sum") == (1e-3, 0.9)
