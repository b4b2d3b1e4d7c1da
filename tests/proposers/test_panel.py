from typing import Any

import pytest

from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.fingerprint import Launched, fingerprint_of, under_seed
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.paths import parse_path
from auto_loop.domain.proposal import Proposal, Verdict
from auto_loop.proposers.base import Candidate
from auto_loop.proposers.panel import Limits, Ruling, judge
from auto_loop.rules.pack import shipped_pack
from tests.packs.studies import BASELINE, job_of, with_values

RAILS = shipped_pack("act_ot").guardrails
ONE = Limits(per_parent=1, round_size=4)
REG = "ot.loss_config.reg@set"


def proposed(changes: dict[str, Any], **more: Any) -> Candidate:
    return candidate(changes, BASELINE, 1, **more)


def candidate(changes: dict[str, Any], tree: dict[str, Any], number: int, **more: Any) -> Candidate:
    return Candidate(parent=job_of(tree, number), proposal=Proposal(changes=changes, reason="because", **more))


def ruling(*candidates: Candidate, limits: Limits = ONE, **more: Any) -> Ruling:
    return judge(candidates, guardrails=RAILS, limits=limits, **more)


def reasons(*candidates: Candidate, **more: Any) -> str:
    found = ruling(*candidates, **more)
    assert found.accepted == ()
    return "\n".join(reason for refusal in found.refused for reason in refusal.reasons)


def test_an_accepted_config_is_what_its_edits_make_of_the_parent() -> None:
    (one,) = ruling(
        proposed({REG: 0.4, "ot.loss_config.features.*.weight_label@mul": 0.5, "ot.lambda_ot@max": 9.0})
    ).accepted
    assert apply(Config.of(BASELINE), parse_edits(one.edits)) == one.config
    assert one.config.data()["ot"]["loss_config"]["reg"] == 0.4


def test_edits_that_change_nothing_are_not_shown() -> None:
    (one,) = ruling(proposed({REG: 0.4, "ot.lambda_ot@min": 0.1})).accepted
    assert one.edits == ("ot.loss_config.reg@set=0.4",)


def test_a_rule_beyond_the_range_is_clamped_and_the_note_says_so() -> None:
    (one,) = ruling(proposed({"ot.loss_config.reg@mul": 100.0})).accepted
    assert one.config.data()["ot"]["loss_config"]["reg"] == 2
    assert one.notes == ("ot.loss_config.reg: 30 clamped to 2, range is 0.02 to 2",)
    assert apply(Config.of(BASELINE), parse_edits(one.edits)) == one.config


def test_an_outside_proposal_beyond_the_range_is_refused_with_what_is_allowed() -> None:
    said = reasons(proposed({"ot.loss_config.reg@mul": 100.0}, proposer="inbox"))
    assert "would be 30.0" in said
    assert "ot.loss_config.reg@set=2" in said


def test_a_path_off_the_list_is_refused_also_when_it_would_change_nothing() -> None:
    assert "`seed` is not on the pack's allow-list" in reasons(proposed({"seed": 7}))
    assert "`steps` is not on the pack's allow-list" in reasons(proposed({"steps": BASELINE["steps"], REG: 0.4}))


def test_a_container_is_no_way_around_the_list() -> None:
    whole = {**BASELINE["ot"], "src_root": "/elsewhere"}
    assert "`ot.src_root`" in reasons(proposed({"ot": whole}))
    fewer = {key: value for key, value in BASELINE["ot"].items() if key != "src_root"}
    assert "`ot.src_root`" in reasons(proposed({"ot": {**fewer, "lambda_ot": 0.2}}))
    assert "allow-list" in reasons(proposed({"ot@remove": "src_root", "ot.lambda_ot": 0.2}))


@pytest.mark.parametrize(
    ("changes", "helps"),
    [
        ({"ot.loss_config.features.3.weight_label@set": 0}, "features.3.weight_label@set=0.002"),
        ({"ot.loss_config.features.3.weight_label@mul": 0.0}, "features.3.weight_label@set=0.002"),
        ({"ot.loss_config.features.0.use_learned_embed@set": False}, "features.0.weight_label@set=0.002"),
        ({"ot.loss_config.features.0.weight_embed@set": 0.0}, "features.0.weight_label@set=0.002"),
        ({"ot.loss_config.features.1.term_weight@set": 0}, "features.1.term_weight@set=1.0"),
        ({"ot.loss_config.features.*.term_weight@mul": 0}, "features.2.term_weight@set=1.0"),
        (
            {"ot.loss_config.features.1.weight_label": 0, "ot.loss_config.features.1.weight_embed": 0},
            "features.1.weight_label@set=0.002",
        ),
    ],
)
def test_both_disabled_is_refused_in_every_form_with_the_edit_that_helps(changes: dict[str, Any], helps: str) -> None:
    candidate_ = proposed(changes)
    said = reasons(candidate_)
    assert "both disabled" in said
    assert f"what helps: ot.loss_config.{helps}" in said


def test_the_edit_that_is_suggested_does_help() -> None:
    off = {"ot.loss_config.features.3.weight_label@set": 0.0}
    helped = {**off, "ot.loss_config.features.3.weight_label@add": 0.002}
    assert ruling(proposed(helped)).accepted


def test_removing_the_feature_instead_is_allowed_and_removing_all_is_not() -> None:
    (one,) = ruling(proposed({"ot.loss_config.features@remove": 1})).accepted
    names = [feature["term_name"] for feature in one.config.data()["ot"]["loss_config"]["features"]]
    assert names == ["image", "gripper", "action"]
    assert "no features" in reasons(proposed({"ot.loss_config.features@set": []}))


def test_a_refusal_carries_all_reasons_at_once() -> None:
    said = reasons(
        proposed({"seed": 7, REG: 99.0, "ot.loss_config.cost_scale": "big", "wandb.mode": "x"}, proposer="p")
    )
    assert all(word in said for word in ("`seed`", "would be 99.0", "'big'", "`wandb.mode`"))


def test_broken_edits_are_refused_with_a_pointer_and_all_of_them_at_once() -> None:
    said = reasons(proposed({"ot.lamda_ot@mul": 2.0, "ot.loss_config.features.9.weight_label": 1.0}))
    assert "did you mean `lambda_ot`" in said
    assert "list of 4" in said
    assert "no op" in reasons(proposed({"ot.lambda_ot@mull": 2.0}))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ot.window_size", "ten", "'ten' is a text"),
        ("policy.kl_weight", [1.0], "would hold items of its own"),
        ("policy.kl_weight", [], "is a list or mapping"),
        ("ot.loss_config.features", 3, "holds items of its own"),
        ("ot.loss_config.features.1", 3, "holds items of its own"),
        ("ot.loss_config.features@append", 3, "hold items of their own"),
        ("ot.no_window", "yes", "is a text"),
        ("ot.no_window", 1, "true or false"),
    ],
)
def test_another_kind_of_value_is_refused(path: str, value: Any, said: str) -> None:
    assert said in reasons(proposed({path: value}))


def test_null_where_the_class_has_none_is_refused() -> None:
    types = FieldTypes(required=frozenset({"ot.enable", "policy.kl_weight", "ot.loss_config.features"}))
    for path in types.required:
        assert "is never null" in reasons(proposed({path: None}), types=types)
    assert ruling(proposed({"ot.topk_src_episodes": 5})).accepted


def test_what_the_study_has_tried_already_is_refused() -> None:
    child = with_values(ot__loss_config__reg=0.4, output_dir="elsewhere", seed=3)
    seen = frozenset({fingerprint_of(Config.of(child), RAILS.ignore)})
    assert "already" in reasons(proposed({REG: 0.4}), seen=seen)
    assert "changes nothing" in reasons(proposed({REG: 0.3}))


def test_twins_of_one_round_become_one_and_the_refusal_names_the_other() -> None:
    first = candidate({REG: 0.5}, BASELINE, 1, rule="a", priority=9)
    twin = candidate({"ot.loss_config.reg@add": 0.1}, with_values(ot__loss_config__reg=0.4), 2, rule="b")
    found = ruling(first, twin)
    assert [one.parent for one in found.accepted] == [1]
    assert found.refused[0].verdict is Verdict.REFUSED
    assert found.refused[0].reasons == ("job 1 gives the same config this round (a)",)
    assert [silence.parent for silence in found.silences] == [2]


SEED = parse_path("seed")


def seeds(tree: dict[str, Any], fingerprint: str) -> str:
    return under_seed(fingerprint, Config.of(tree), SEED)


def test_a_proposal_that_changes_only_the_seed_is_a_repeat_of_its_parent() -> None:
    own = fingerprint_of(Config.of(BASELINE), RAILS.ignore)
    (one,) = ruling(proposed({"seed": 7}), seed=SEED, seen=frozenset({own, seeds(BASELINE, own)})).accepted
    assert one.repeat
    assert one.edits == ("seed@set=7",)
    assert one.config.data() == {**BASELINE, "seed": 7}
    assert "a repeat of its parent" in one.notes[0]
    (other,) = ruling(proposed({"seed@add": 1, "ot.lambda_ot@mul": 1}), seed=SEED).accepted
    assert other.repeat
    assert other.edits == ("seed@add=1",)


def test_the_very_same_config_and_seed_is_no_repeat_again() -> None:
    own = fingerprint_of(Config.of(BASELINE), RAILS.ignore)
    print_ = seeds({**BASELINE, "seed": 7}, own)
    found = ruling(proposed({"seed": 7}), proposed({"seed": 8}), seed=SEED, seen=frozenset({own, print_, "x"}))
    assert [one.config.data()["seed"] for one in found.accepted] == [8]
    assert "under seed 7 already" in found.refused[0].reasons[0]
    assert found.hits == {print_}
    assert "changes nothing" in reasons(proposed({"seed": BASELINE["seed"]}), seed=SEED)


@pytest.mark.parametrize("value", [None, True, 1.5, -1, "seven", [1], {"a": 1}])
def test_what_is_no_seed_is_refused(value: Any) -> None:
    assert reasons(proposed({"seed": value}), seed=SEED)


def test_a_seed_beside_other_changes_stays_as_it_was_and_the_note_says_so() -> None:
    (one,) = ruling(proposed({"seed": 7, REG: 0.4}), seed=SEED).accepted
    assert not one.repeat
    assert one.config.data()["seed"] == BASELINE["seed"]
    assert one.edits == ("ot.loss_config.reg@set=0.4",)
    assert one.notes == ("the seed is no knob: `seed` stays as it was",)


def test_a_seed_inside_a_whole_that_changes_stays_as_it_was() -> None:
    tree = {"run": {"seed": 1, "lr": 0.1}}
    open_rails = Guardrails()
    (one,) = judge(
        [candidate({"run": {"seed": 5, "lr": 0.2}}, tree, 1)],
        guardrails=open_rails, limits=ONE, seed=parse_path("run.seed"),
    ).accepted  # fmt: skip
    assert one.config.data() == {"run": {"seed": 1, "lr": 0.2}}
    assert "no knob" in one.notes[0]


def test_a_trainer_without_a_seed_takes_it_for_a_value_like_any_other() -> None:
    assert "allow-list" in reasons(proposed({"seed": 7}))


def test_repeats_of_one_round_differ_by_their_seed_and_leave_the_places_to_others() -> None:
    found = ruling(
        proposed({"seed": 7}), proposed({"seed": 7}), proposed({"seed": 8}, priority=9), proposed({REG: 0.4}),
        seed=SEED, limits=Limits(per_parent=4, round_size=2),
    )  # fmt: skip
    assert [(one.repeat, one.config.data()["seed"]) for one in found.accepted] == [(True, 8), (False, BASELINE["seed"])]
    assert {one.verdict for one in found.refused} == {Verdict.NO_PLACE}
    both = ruling(proposed({"seed": 7}), proposed({"seed": 7}), seed=SEED)
    assert len(both.accepted) == 1
    assert "gives the same config" in both.refused[0].reasons[0]


def test_the_ruling_says_which_of_those_seen_it_met_and_with_them_alone_it_comes_again() -> None:
    met = fingerprint_of(Config.of(with_values(ot__loss_config__reg=0.4)), RAILS.ignore)
    offered = [proposed({REG: 0.4}), proposed({REG: 0.5}), proposed({"nowhere": 1})]
    first = ruling(*offered, seen=frozenset({met, "another", "one more"}))
    assert first.hits == {met}
    assert ruling(*offered, seen=first.hits) == first
    assert ruling(*offered).hits == frozenset()


def test_what_starts_warm_is_another_experiment() -> None:
    met = fingerprint_of(Config.of(with_values(ot__loss_config__reg=0.4)), RAILS.ignore)
    assert ruling(proposed({REG: 0.4}), seen=frozenset({met}), launched=Launched(warm_from="3")).accepted


def test_what_makes_no_other_experiment_is_refused() -> None:
    tree = {"lr": 0.1, "log_freq": 10}
    rails = Guardrails(ignore=(parse_path("log_freq"),))
    (refused,) = judge([candidate({"log_freq": 20}, tree, 1)], guardrails=rails, limits=ONE).refused
    assert refused.reasons == ("it changes nothing of its parent's config that makes another experiment",)


def test_what_is_accepted_carries_what_the_laws_expect_of_it() -> None:
    found = ruling(
        proposed({REG: 0.4}), proposed({REG: 99.0}, proposer="inbox"),
        predict=lambda _, config: {"train/ot_s": config.data()["ot"]["loss_config"]["reg"] + 2},
    )  # fmt: skip
    assert [one.predictions for one in found.accepted] == [{"train/ot_s": 2.4}]


def test_the_same_nudge_under_two_names_gets_one_seat_while_another_waits() -> None:
    found = ruling(
        proposed({"ot.lambda_ot@mul": 1.5}, rule="a", group="lambda", priority=9),
        proposed({"ot.lambda_ot@mul": 10}, rule="b", group="grad ratio", priority=8),
        proposed({REG: 0.4}, rule="c", group="lambda", priority=1),
        limits=Limits(per_parent=2, round_size=2),
    )
    assert rules(found) == ["a", "c"]


def several(number: int, count: int, group: str = "", priority: int = 0) -> list[Candidate]:
    tree = with_values(policy__dropout=number / 100)
    return [
        candidate({REG: 0.4 + at / 100}, tree, number, rule=f"{number}.{at}", group=group, priority=priority)
        for at in range(count)
    ]


def rules(found: Ruling) -> list[str]:
    return [one.proposal.rule for one in found.accepted]


def test_each_parent_gets_its_share_before_any_gets_more() -> None:
    found = ruling(*several(1, 3, priority=9), *several(2, 3), limits=Limits(per_parent=2, round_size=4))
    assert rules(found) == ["1.0", "2.0", "1.1", "2.1"]
    assert {one.verdict for one in found.refused} == {Verdict.NO_PLACE}


def test_places_that_are_left_go_to_the_next_best_of_any_parent() -> None:
    found = ruling(*several(1, 3), *several(2, 1), limits=Limits(per_parent=1, round_size=3))
    assert rules(found) == ["1.0", "2.0", "1.1"]


def test_a_round_holds_different_purposes_before_the_same_one_twice() -> None:
    found = ruling(
        *several(1, 1, "mass", 9), *several(2, 1, "mass", 8), *several(3, 1, "lambda", 1),
        limits=Limits(per_parent=1, round_size=2),
    )  # fmt: skip
    assert rules(found) == ["1.0", "3.0"]
    assert [one.verdict for one in found.refused] == [Verdict.NO_PLACE]


def test_the_verdicts_do_not_change_when_asked_twice_and_cover_every_candidate() -> None:
    candidates = [*several(1, 4), *several(2, 4), proposed({"seed": 1})]
    first, second = ruling(*candidates), ruling(*candidates)
    assert first == second
    assert len(first.accepted) + len(first.refused) == len(candidates)


def test_integers_stay_integers() -> None:
    types = FieldTypes(int_fields=frozenset({"ot.topk_src_episodes", "batch_size"}))
    (one,) = ruling(proposed({"ot.topk_src_episodes@set": 20.0, "batch_size@mul": 0.7}), types=types).accepted
    assert one.config.data()["ot"]["topk_src_episodes"] == 20
    assert isinstance(one.config.data()["ot"]["topk_src_episodes"], int)
    assert one.config.data()["batch_size"] == 11
