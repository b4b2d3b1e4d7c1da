"""Guardrails on another family of workloads: derived batch sizes, divisibility, and a relation over a list."""

from typing import Any

import pytest

from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.edits import parse_edits
from auto_loop.domain.fingerprint import fingerprint_of
from auto_loop.domain.guardrails import Checked, check
from auto_loop.domain.paths import parse_path
from auto_loop.rules.pack import parse

PPO = parse("""
[guardrails]
allow = ["vec.*", "env.*", "train.bptt", "layers.*.width"]

[guardrails.multiple_of]
"vec.num_envs" = "vec.num_workers"
"layers.*.width" = 8

[guardrails.derive]
"train.batch" = "env.num_envs * vec.num_envs * train.bptt"
"train.minibatch" = "train.batch"

[guardrails.range]
"vec.num_envs" = { min = 1, max = 56 }
"train.batch" = { max = 4096 }

[guardrails.choice]
"env.kind" = ["pick", "drone"]

[[guardrails.relation]]
must = "train.batch % train.minibatch == 0"
reason = "a batch of {train.batch} is no multiple of {train.minibatch}"

[[guardrails.relation]]
must = "sum(layers.*.width) <= 64"
reason = "the layers hold {sum(layers.*.width)} units, and 64 fit"
""").guardrails
BASE: dict[str, Any] = {
    "env": {"num_envs": 4, "kind": "pick"},
    "vec": {"num_envs": 28, "num_workers": 14},
    "train": {"bptt": 16, "batch": 1792, "minibatch": 1792},
    "layers": [{"width": 16}, {"width": 32}],
}


def checked(*edits: str, clamp: bool = True) -> Checked:
    return check(Config.of(BASE), parse_edits(edits), PPO, clamp=clamp)


def whats(found: Checked) -> list[str]:
    return [fault.what for fault in found.faults]


def test_what_hangs_on_a_change_is_derived_and_recorded() -> None:
    found = checked("train.bptt=32")
    assert found.faults == ()
    assert found.config.data()["train"] == {"bptt": 32, "batch": 3584, "minibatch": 3584}
    assert found.notes == (
        "train.batch: 1792 → 3584, derived as env.num_envs * vec.num_envs * train.bptt",
        "train.minibatch: 1792 → 3584, derived as train.batch",
    )


def test_rounding_up_comes_before_what_is_derived_from_it() -> None:
    found = checked("vec.num_envs=15")
    assert found.config.data()["vec"]["num_envs"] == 28
    assert found.notes == ("vec.num_envs: 15 → 28, rounded up to a multiple of vec.num_workers",)
    assert checked("layers.*.width=9").config.data()["layers"] == [{"width": 16}, {"width": 16}]


def test_a_clamp_is_followed_by_deriving_anew() -> None:
    found = checked("vec.num_envs=500", "env.num_envs=1")
    tree = found.config.data()
    assert (tree["vec"]["num_envs"], tree["train"]["batch"]) == (56, 56 * 16)
    assert found.faults == ()
    assert any("clamped to 56" in note for note in found.notes)


def test_a_derived_value_out_of_range_is_a_fault_that_no_clamp_hides() -> None:
    found = checked("env.num_envs=400")
    assert any("train.batch" in what for what in whats(found))


def test_from_outside_nothing_is_clamped() -> None:
    found = checked("vec.num_envs=70", "env.num_envs=1", clamp=False)
    assert "`vec.num_envs` would be 70, and its range is 1 to 56" in whats(found)


def test_relations_choices_and_kinds() -> None:
    assert whats(checked("layers.0.width=56")) == ["the layers hold 88 units, and 64 fit"]
    assert whats(checked("env.kind=swim")) == ["`env.kind` would be 'swim', and it takes one of 'pick', 'drone'"]
    assert any("is a number" in what for what in whats(checked("train.bptt=many")))


def test_what_may_not_be_touched() -> None:
    assert whats(checked("train.minibatch=7")) == ["`train.minibatch` is not on the pack's allow-list"]


def test_a_relation_that_a_derivation_restores_is_no_fault() -> None:
    assert checked("env.num_envs=3").faults == ()


@pytest.mark.parametrize("clamp", [True, False])
def test_nothing_changed_is_nothing_noted(clamp: bool) -> None:
    found = checked(clamp=clamp)
    assert (found.config, found.notes, found.faults) == (Config.of(BASE), (), ())


def test_a_fingerprint_leaves_out_what_it_is_told_to() -> None:
    ignore = tuple(parse_path(text) for text in ("out", "wandb", "policy.device", "list.*.id"))
    one = {"a": 2, "policy": {"device": "cpu"}, "list": [{"id": 1, "x": 1}]}
    other = {
        "out": "x",
        "wandb": {"mode": "online"},
        "policy": {"device": "cuda"},
        "a": 2.0,
        "list": [{"id": 9, "x": 1}],
    }
    assert fingerprint_of(Config.of(one), ignore) == fingerprint_of(Config.of(other), ignore)
    assert fingerprint_of(Config.of(one), ()) != fingerprint_of(Config.of(other), ())
    assert fingerprint_of(Config.of({**one, "a": 3}), ignore) != fingerprint_of(Config.of(one), ignore)


LEFT_OVER = """
[guardrails]
[guardrails.multiple_of]
"a.rows" = "a.workers"
[guardrails.derive]
"b.batch" = "a.rows * a.envs"
[[guardrails.relation]]
must = "a.rows % a.workers == 0"
reason = "no whole rows for each worker"
"""
ROWS = {"a": {"rows": 4, "workers": 2, "envs": 3}, "b": {"batch": 12}}


@pytest.mark.parametrize("edit", ["a.workers=0", "a.workers=null", "a.envs=null", "a.rows=null", "a@remove=envs"])
def test_what_can_no_longer_be_judged_or_derived_is_refused(edit: str) -> None:
    found = check(Config.of(ROWS), parse_edits([edit]), parse(LEFT_OVER).guardrails, clamp=True)
    assert any("can no longer be" in text or "nobody could say" in text for text in whats(found))


def test_what_the_parent_cannot_say_either_is_no_fault_of_the_proposal() -> None:
    parent = Config.of({"a": {"rows": 4, "envs": 3}, "b": {"batch": 1}})
    assert check(parent, parse_edits(["a.rows=6"]), parse(LEFT_OVER).guardrails, clamp=True).faults == ()


def test_a_derived_value_that_does_not_fit_is_a_fault() -> None:
    found = check(Config.of(ROWS), parse_edits(["a.envs=0.3"]), parse(LEFT_OVER).guardrails, clamp=True,
                  types=FieldTypes(int_fields=frozenset({"b.batch"}), float_fields=frozenset({"a.envs"})))  # fmt: skip
    assert any("not derived as a.rows * a.envs" in text for text in whats(found))


def test_a_value_that_is_derived_is_not_set_from_outside_and_a_rules_gives_way() -> None:
    rails = parse(LEFT_OVER).guardrails
    wrong, right = ["a.envs=6", "b.batch=13"], ["a.envs=6", "b.batch=24"]
    (said,) = whats(check(Config.of(ROWS), parse_edits(wrong), rails, clamp=False))
    assert said == "`b.batch` would be 13, and is derived as a.rows * a.envs: 24"
    stays = check(Config.of(ROWS), parse_edits(["a.envs=6", "b.batch=12"]), rails, clamp=False)
    assert whats(stays) == ["`b.batch` would be 12, and is derived as a.rows * a.envs: 24"]
    for edits, clamp in ((wrong, True), (right, False)):
        found = check(Config.of(ROWS), parse_edits(edits), rails, clamp=clamp)
        assert found.faults == ()
        assert found.config.data()["b"]["batch"] == 24
    assert check(Config.of(ROWS), parse_edits(["a.rows=5"]), rails, clamp=False).faults == (), "rounding up is none"
