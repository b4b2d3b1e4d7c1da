"""Variants: the project's first seven, made from the shipped baseline, and every fault at once."""

import json
from pathlib import Path

import pytest

from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.edits import apply, diff, render_edit
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.workspace.configs import load_config
from auto_loop.workspace.variants import make_variant

BASELINE = Path(__file__).parents[2] / "train_configs" / "act_ot_baseline.json"
UNLOCK = "ot.lambda_ot@set=0.10 ot.loss_config.features.3.weight_label@set=0.002 ot.topk_src_episodes@set=20"


def reg_and_tau(reg: str, tau: str) -> str:
    places = ("ot.loss_config.tau_src", "ot.loss_config.tau_tgt")
    return " ".join([f"ot.loss_config.reg@set={reg}", *(f"{place}@set={tau}" for place in places)])


# The command lines that users had before this project; what they ask for is written out below.
FIRST_SEVEN = {
    "reg+tau": "ot.loss_config.reg@mul=1.5 ot.loss_config.tau_src@set=1.0 ot.loss_config.tau_tgt@set=1.0 "
    "ot.lambda_ot@set=0.12",
    "tau=2, lam=0.15": "ot.loss_config.tau_src@set=2.0 ot.loss_config.tau_tgt@set=2.0 ot.lambda_ot@set=0.15 "
    "ot.loss_config.features.*.weight_label@mul=0.5",
    "tau=5, action=0.005": "ot.loss_config.tau_src@set=5.0 ot.loss_config.tau_tgt@set=5.0 ot.lambda_ot@set=0.10 "
    "ot.loss_config.features.*.weight_label@set=0.005",
    "pi unlock mild": f"{reg_and_tau('0.4', '2.0')} {UNLOCK}",
    "pi unlock aggressive": f"{reg_and_tau('0.5', '3.0')} {UNLOCK} ot.lambda_ot@set=0.12",
    "sharpness=0.75": f"{reg_and_tau('0.3', '1.0')} {UNLOCK} ot.sharpness@set=0.75",
    "more OT mixing": f"{reg_and_tau('0.4', '1.0')} {UNLOCK} ot.bc_src_weight@set=0.7",
}
LABELS = [f"ot.loss_config.features.{number}.weight_label" for number in range(4)]
CHANGED = {
    "reg+tau": {"ot.loss_config.reg": 0.45, "ot.lambda_ot": 0.12},
    "tau=2, lam=0.15": {
        "ot.loss_config.tau_src": 2.0, "ot.loss_config.tau_tgt": 2.0, "ot.lambda_ot": 0.15,
        LABELS[1]: 0.00025, LABELS[2]: 0.0005, LABELS[3]: 0.1,
    },
    "tau=5, action=0.005": {
        "ot.loss_config.tau_src": 5.0, "ot.loss_config.tau_tgt": 5.0, **dict.fromkeys(LABELS, 0.005),
    },
    "pi unlock mild": {
        "ot.loss_config.reg": 0.4, "ot.loss_config.tau_src": 2.0, "ot.loss_config.tau_tgt": 2.0,
        LABELS[3]: 0.002, "ot.topk_src_episodes": 20,
    },
    "pi unlock aggressive": {
        "ot.loss_config.reg": 0.5, "ot.loss_config.tau_src": 3.0, "ot.loss_config.tau_tgt": 3.0,
        "ot.lambda_ot": 0.12, LABELS[3]: 0.002, "ot.topk_src_episodes": 20,
    },
    "sharpness=0.75": {LABELS[3]: 0.002, "ot.topk_src_episodes": 20, "ot.sharpness": 0.75},
    "more OT mixing": {
        "ot.loss_config.reg": 0.4, LABELS[3]: 0.002, "ot.topk_src_episodes": 20, "ot.bc_src_weight": 0.7,
    },
}  # fmt: skip


def started_from() -> Config:
    """The shipped baseline with the values at which the expectations below start."""
    data = load_config(BASELINE).config.data()
    data["ot"] |= {"lambda_ot": 0.1, "sharpness": 10.0, "topk_src_episodes": None, "bc_src_weight": 0.9}
    data["ot"]["loss_config"] |= {"reg": 0.3, "tau_src": 1.0, "tau_tgt": 1.0}
    for feature, weight in zip(data["ot"]["loss_config"]["features"], (0.0, 0.0005, 0.001, 0.2), strict=True):
        feature["weight_label"] = weight
    return Config.of(data)


@pytest.mark.parametrize("reason", FIRST_SEVEN)
def test_the_first_seven_variants_change_what_they_say_and_nothing_else(tmp_path, reason):
    base = tmp_path / "act_ot_baseline.json"
    base.write_text(json.dumps(started_from().data()))
    variant = make_variant(base, FIRST_SEVEN[reason].split(), {}, tmp_path)
    found = {render_edit(edit) for edit in diff(started_from(), load_config(variant.path).config)}
    assert found == {f"{path}@set={value}" for path, value in CHANGED[reason].items()}


@pytest.mark.parametrize("reason", FIRST_SEVEN)
def test_the_first_seven_can_be_made_of_the_baseline_as_it_is_shipped(tmp_path, reason):
    made = make_variant(BASELINE, FIRST_SEVEN[reason].split(), {}, tmp_path)
    assert made.path.parent == tmp_path
    assert made.path.stem.startswith("act_ot_baseline_")


def test_frequencies_that_are_given_go_into_the_variant_after_the_changes(tmp_path):
    base = tmp_path / "act.json"
    base.write_text('{"steps": 100, "log_freq": 10, "lr": 0.1}')
    frequencies = {"steps": 10000, "log_freq": None, "train.eval_every": None, "eval_freq": 500}
    made = make_variant(base, ["lr@mul=0.5", "steps=3"], frequencies, tmp_path)
    assert made.config.data() == {"steps": 10000, "log_freq": 10, "lr": 0.05, "eval_freq": 500}
    assert [render_edit(edit) for edit in made.edits][2:] == ["steps@set=10000", "eval_freq@set=500"]
    assert load_config(made.path).config == made.config
    assert apply(load_config(base).config, made.edits) == made.config
    assert made.base_fingerprint == load_config(base).config.fingerprint


def test_types_count_in_base_and_variant(tmp_path):
    base = tmp_path / "act.json"
    base.write_text('{"batch_size": 12.0}')
    types = FieldTypes(int_fields=frozenset({"batch_size"}))
    made = make_variant(base, ["batch_size@mul=0.3"], {}, tmp_path, types)
    assert made.path.read_text() == '{\n  "batch_size": 4\n}\n'
    assert made.notes == ("read as integers: batch_size 12.0 → 12",)


def test_all_faults_are_named_at_once_and_nothing_is_written(tmp_path):
    base = tmp_path / "act.json"
    base.write_text('{"lr": 0.1}')
    with pytest.raises(MisuseError) as caught:
        make_variant(base, ["lr@mull=2", "leer@mul=2", "lr=nan"], {}, tmp_path)
    assert len(caught.value.faults) == 3
    with pytest.raises(MisuseError) as caught:
        make_variant(tmp_path / "absent.json", ["lr@mull=2"], {}, tmp_path)
    assert len(caught.value.faults) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["act.json"]


def test_what_else_speaks_against_the_config_is_asked_before_anything_is_written(tmp_path):
    base = tmp_path / "act.json"
    base.write_text('{"lr": 0.1}')
    asked = []

    def refused(config):
        asked.append(config.data())
        return [Fault(what="the class takes no such rate"), Fault(what="nor any other")]

    with pytest.raises(MisuseError) as caught:
        make_variant(base, ["lr=2.0"], {}, tmp_path, refused=refused)
    assert len(caught.value.faults) == 2
    assert asked == [{"lr": 2.0}]
    assert [path.name for path in tmp_path.iterdir()] == ["act.json"]
