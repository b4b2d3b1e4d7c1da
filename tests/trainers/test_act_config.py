"""What the trainer refuses, and that it refuses before anything is made."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import draccus
import pytest
from act_jobs import CONFIGS, script, tiny_config, write_config

from auto_loop.trainers.act.config import FeatureConfig, TrainConfig, faults


def parsed(config: dict[str, Any]) -> TrainConfig:
    return draccus.decode(TrainConfig, config)


def with_feature(**changes: Any) -> dict[str, Any]:
    config = tiny_config()
    config["ot"]["loss_config"]["features"][1].update(changes)
    return config


def test_the_tiny_config_has_no_fault() -> None:
    assert faults(parsed(tiny_config())) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight_label": 0.0}, "use_learned_embed is false and weight_label is 0"),
        (
            dict.fromkeys(("src_key", "tgt_key"), "observation.state")
            | {"use_learned_embed": True, "weight_label": 0.0},
            "weight_embed is 0 and weight_label is 0",
        ),
        ({"term_weight": 0.0}, "term_weight is 0"),
        ({"use_learned_embed": True, "weight_embed": 1.0}, "the policy embeds no actions"),
        ({"src_key": "observation.smell"}, "'observation.smell' is none of"),
        ({"dim_slice": [3, 3]}, "no [start, stop)"),
        ({"term_name": "hand"}, "taken by an earlier feature"),
        ({"weight_label": -1.0}, "below 0"),
    ],
)
def test_a_feature_with_nothing_left_or_wrong_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    found = faults(parsed(with_feature(**changes)))
    assert len(found) == 1
    assert found[0].startswith("ot.loss_config.features.1")
    assert said in found[0]


def test_transport_that_is_off_is_not_judged() -> None:
    config = with_feature(term_weight=0.0)
    config["ot"]["enable"] = False
    assert faults(parsed(config)) == []


def test_every_fault_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    config = with_feature(weight_label=0.0)
    config["ot"]["loss_config"]["reg"] = 0.0
    config["policy"]["dim_model"] = 15
    done = script(f"--config_path={write_config(tmp_path, config)}", "--output_dir=out", cwd=tmp_path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(":")[1].split(" ")[1] for line in lines] == [
        "policy.dim_model",
        "ot.loss_config.reg",
        "ot.loss_config.features.1",
    ]
    assert "(action)" in lines[2]
    assert [place.name for place in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("{}", ["--batch_size=20.0"], "batch_size"),
        ('{"ot": {"window_size": 20.0}}', [], "window_size"),
        ('{"ot": {"loss_config": {"regg": 1}}}', [], "regg"),
        ("{", [], ""),
    ],
)
def test_a_wrong_key_or_type_is_one_line_and_exit_2(tmp_path: Path, text: str, arguments: list[str], said: str) -> None:
    place = tmp_path / "config.json"
    place.write_text(text)
    done = script(f"--config_path={place}", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert said in done.stderr.splitlines()[-1]


def test_a_missing_config_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = script("--config_path=absent.json", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "absent.json" in done.stderr


def keys(value: Any, prefix: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {prefix}
    return {found for name, inner in value.items() for found in keys(inner, f"{prefix}.{name}")}


def test_the_baseline_writes_every_key_out() -> None:
    written = json.loads((CONFIGS / "act_ot_baseline.json").read_text())
    features = written["ot"]["loss_config"]["features"]
    assert keys(written) == keys(dataclasses.asdict(TrainConfig()))
    assert len(features) >= 4
    assert features[3]["src_key"] == features[3]["tgt_key"] == "action"
    assert features[3]["weight_label"] > 0
    names = {field.name for field in dataclasses.fields(FeatureConfig)}
    assert all(set(feature) == names for feature in features)


@pytest.mark.parametrize("place", sorted(CONFIGS.glob("act_ot_*.json")), ids=lambda place: place.stem)
def test_the_shipped_configs_are_trainable_and_their_places_relative(place: Path) -> None:
    config = parsed(json.loads(place.read_text()))
    assert faults(config) == []
    places = (config.dataset.root, config.ot.src_root, config.ot.pair_info_path, config.output_dir)
    assert not any(Path(name).is_absolute() for name in places)
