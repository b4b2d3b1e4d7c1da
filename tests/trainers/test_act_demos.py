"""The demonstrations: real, repeatable, complete, and made on first use."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from act_jobs import ROOT, environment

from auto_loop.trainers.act import demos
from auto_loop.trainers.act.config import ACTION, ENVIRONMENT_STATE, IMAGE, STATE, DatasetConfig, TrainConfig
from auto_loop.trainers.act.dataset import DataError, load, prepare


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pick_place_source_99", demos.Recipe(domain="source", episodes=99, camera=True)),
        ("pick_place_state_target_2", demos.Recipe(domain="target", episodes=2, camera=False)),
        ("pick_place_target_0", None),
        ("my_data", None),
    ],
)
def test_a_folders_name_says_what_it_holds(name: str, expected: demos.Recipe | None) -> None:
    assert demos.recipe_for(name) == expected


def test_a_missing_folder_without_a_recipe_is_refused_with_names_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pick_place_target_5"):
        prepare(TrainConfig(dataset=DatasetConfig(root=str(tmp_path / "my_data"))))
    assert list(tmp_path.iterdir()) == []


def test_every_episode_ends_with_the_puck_near_its_goal(demonstrations: Path) -> None:
    for name in ("pick_place_state_source_6", "pick_place_state_target_2"):
        found = load(demonstrations / name)
        puck, goal = np.split(found.columns[ENVIRONMENT_STATE][found.last], 2, axis=1)
        assert (np.linalg.norm(puck - goal, axis=1) < 75).all()  # mm; the simulation's success is 70


def test_held_out_episodes_lie_in_and_out_of_the_targets_half(demonstrations: Path) -> None:
    found = load(demonstrations / "pick_place_state_target_2")
    puck_x = found.columns[ENVIRONMENT_STATE][found.first, 0]
    split = np.array(found.split)
    assert (puck_x[split != "ood"] < 5).all()
    assert (puck_x[split == "ood"] > -5).all()
    assert {name: int((split == name).sum()) for name in ("train", "id", "ood")} == {"train": 2, "id": 2, "ood": 2}


def test_a_camera_sees_and_the_same_recipe_gives_the_same_data(tmp_path: Path) -> None:
    recipe = demos.Recipe(domain="source", episodes=1, camera=True)
    for name in ("one", "two"):
        demos.make(recipe, tmp_path / name)
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert all(np.array_equal(one.columns[key], two.columns[key]) for key in (IMAGE, STATE, ACTION))
    images = one.columns[IMAGE]
    assert images.shape[1:] == (32, 32, 3)
    red = (images[..., 0].astype(int) > 150) & (images[..., 1] < 60) & (images[..., 2] < 60)
    blue = (images[..., 2].astype(int) > 150) & (images[..., 0] < 60)
    assert red[0].any()  # the puck
    assert blue[0].any()  # the goal


FIRST_USE = """
import draccus, json, sys
from auto_loop.trainers.act.config import TrainConfig
from auto_loop.trainers.act.dataset import prepare, load
from auto_loop.trainers.act import pairs
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from act_jobs import tiny_config
config = draccus.decode(TrainConfig, tiny_config())
prepare(config)
assert len(load(Path(config.ot.src_root)).episodes("train")) == 6
assert pairs.load(Path(config.ot.pair_info_path)).distance.shape == (2, 6)
"""


def test_four_processes_that_start_together_all_find_whole_data(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FIRST_USE, str(Path(__file__).parent)]
    environ = {**environment(), "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(command, cwd=tmp_path, env=environ) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0, 0, 0, 0]
    made = sorted(place.name for place in (tmp_path / "data").iterdir() if not place.name.endswith(".lock"))
    assert made == ["pairs_source_6_target_2.npz", "pick_place_state_source_6", "pick_place_state_target_2"]
