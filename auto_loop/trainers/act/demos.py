"""Real demonstrations, made on this machine: a scripted expert picks and places in Meta-World's simulation.

A data set's folder name says what it holds, so a config that names a missing folder is enough to make it:
`pick_place_source_99` is 99 episodes of the source domain; `pick_place_target_5` is 5 of the target domain, and
20 + 20 held-out ones beside them; `pick_place_state_...` is the same without a camera, for jobs of a second.

The target domain differs as a second rig would: an opposite camera, a tint and noise, and only the half of the
workspace where the puck lies left of the middle. Held-out episodes are drawn from that half (id) and the other (ood).
"""

import json
import pickle
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auto_loop.trainers.act.config import ACTION, ENVIRONMENT_STATE, IMAGE, STATE

NAME = re.compile(r"pick_place_(?P<state>state_)?(?P<domain>source|target)_(?P<episodes>[1-9]\d*)")
HELD_OUT = 20  # episodes of each kind; the state-only variant has an eighth of it
MAX_STEPS, STEPS_AFTER_SUCCESS = 120, 3
MILLIMETRES = 1000.0
FULL_EFFORT = 10.0  # of the gripper, so that it weighs beside millimetres
PUCK_LOW, PUCK_HIGH = (-0.1, 0.6, 0.02), (0.1, 0.7, 0.02)
GOAL_LOW, GOAL_HIGH = (-0.1, 0.8, 0.05), (0.1, 0.9, 0.3)
NEAREST_GOAL = 0.15  # metres on the table; the simulation's own rule for this task

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one data set holds."""

    domain: str
    episodes: int
    camera: bool

    @property
    def splits(self) -> dict[str, int]:
        if self.domain == "source":
            return {"train": self.episodes}
        held_out = HELD_OUT if self.camera else max(2, HELD_OUT // 8)
        return {"train": self.episodes, "id": held_out, "ood": held_out}


def recipe_for(name: str) -> Recipe | None:
    """The recipe that a folder's name stands for; None if it stands for none."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    return Recipe(domain=found["domain"], episodes=int(found["episodes"]), camera=found["state"] is None)


def make(recipe: Recipe, folder: Path) -> None:
    """Simulate a data set and write it: `episodes.npz`, one row a frame, and `meta.json`."""
    folder.mkdir(parents=True)
    stage = Stage(recipe)
    episodes: list[Arrays] = []
    for split, count in recipe.splits.items():
        # Seeded by domain and split: more episodes of a split begin with the same ones.
        rng = np.random.default_rng([20, *f"{recipe.domain} {split}".encode()])
        episodes += [{**episode, "split": _filled(split, episode)} for episode in stage.episodes(count, split, rng)]
    columns = {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}
    columns["episode_index"] = np.concatenate(
        [np.full(len(episode[ACTION]), index, dtype=np.int64) for index, episode in enumerate(episodes)]
    )
    np.savez(folder / "episodes.npz", **columns)  # type: ignore[arg-type]  # the stub takes the keys for its flags
    meta = {"schema": 1, "domain": recipe.domain, "splits": recipe.splits, "frames": len(columns[ACTION])}
    (folder / "meta.json").write_text(json.dumps({**meta, "units": UNITS}, indent=2) + "\n")


UNITS = {
    STATE: "hand x, y, z and gripper opening, mm",
    ENVIRONMENT_STATE: "puck x, y, z and goal x, y, z, mm",
    ACTION: "commanded hand x, y, z, mm, and gripper effort, 0 to 10",
    IMAGE: "RGB, 0 to 255",
}


class Stage:
    """The simulation with its expert, and the domain's camera."""

    def __init__(self, recipe: Recipe) -> None:
        from metaworld.envs.sawyer_pick_place_v3 import SawyerPickPlaceEnvV3
        from metaworld.policies.sawyer_pick_place_v3_policy import SawyerPickPlaceV3Policy

        # The expert asks for more than the arm may do and warns of it at every step; it is clipped below.
        warnings.filterwarnings("ignore", message="Constant\\(s\\) may be too high")
        self._recipe = recipe
        self._environment: Any = SawyerPickPlaceEnvV3()
        self._expert: Any = SawyerPickPlaceV3Policy()
        self._camera: Any = None
        if recipe.camera:
            from auto_loop.trainers.act.camera import Look, RayCamera

            source = Look(eye=(0.75, 0.0, 0.7))
            target = Look(eye=(-0.75, 0.0, 0.7), tint=(1.0, 0.85, 0.7), noise=0.04)
            self._camera = RayCamera(self._environment.model, source if recipe.domain == "source" else target)

    def episodes(self, count: int, split: str, rng: np.random.Generator) -> Iterator[Arrays]:
        """`count` episodes in which the expert succeeds; the few in which it fails are drawn anew."""
        left_half = None if self._recipe.domain == "source" else split != "ood"
        while count:
            episode = self._episode(_layout(rng, left_half), rng)
            if episode is not None:
                count -= 1
                yield episode

    def _episode(self, layout: npt.NDArray[np.float64], rng: np.random.Generator) -> Arrays | None:
        from metaworld.types import Task

        task = {"env_cls": type(self._environment), "rand_vec": layout, "partially_observable": False}
        self._environment.set_task(Task("pick-place-v3", pickle.dumps(task)))
        observation, _ = self._environment.reset()
        rows: list[dict[str, npt.NDArray[Any]]] = []
        after_success = -1
        while len(rows) < MAX_STEPS and after_success < STEPS_AFTER_SUCCESS:
            action = np.clip(self._expert.get_action(observation), -1, 1)
            row = self._observed(observation, rng)
            observation, _, _, _, info = self._environment.step(action)
            # The arm follows a commanded place: recorded as an absolute target, as real rigs do, not as a velocity.
            command = [*self._environment.data.mocap_pos[0] * MILLIMETRES, action[3] * FULL_EFFORT]
            rows.append({**row, ACTION: np.array(command, dtype=np.float32)})
            after_success += info["success"] > 0 or after_success >= 0
        if after_success < 0:
            return None
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    def _observed(self, observation: npt.NDArray[np.float64], rng: np.random.Generator) -> Arrays:
        hand, opening, puck, goal = observation[:3], observation[3:4] / 10, observation[4:7], observation[-3:]
        row: Arrays = {
            STATE: (np.concatenate([hand, opening]) * MILLIMETRES).astype(np.float32),
            ENVIRONMENT_STATE: (np.concatenate([puck, goal]) * MILLIMETRES).astype(np.float32),
        }
        if self._camera is not None:
            row[IMAGE] = self._camera.shoot(self._environment.data, goal, rng)
        return row


def _layout(rng: np.random.Generator, left_half: bool | None) -> npt.NDArray[np.float64]:
    """Where the puck lies and where it should go, in metres; `left_half` None is the whole table."""
    low, high = np.array([*PUCK_LOW, *GOAL_LOW]), np.array([*PUCK_HIGH, *GOAL_HIGH])
    if left_half is not None:
        (high if left_half else low)[0] = 0.0
    while True:
        layout = rng.uniform(low, high)
        if np.linalg.norm(layout[:2] - layout[3:5]) >= NEAREST_GOAL:
            return layout


def _filled(split: str, episode: Arrays) -> npt.NDArray[np.str_]:
    return np.full(len(episode[ACTION]), split, dtype="U5")
