"""Writes a small LeRobotDataset v3.0 of a point that walks to a coloured goal: `make_dataset.py FOLDER`.

Runs in LeRobot's own environment and uses its own API only. Images (32×32), state and action as a real recording has
them; no video files, so that no codec is needed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

SIZE = 32  # pixels a side
EPISODES = 8
FRAMES = 25
FEATURES: dict[str, dict[str, Any]] = {
    "observation.images.top": {"dtype": "image", "shape": (SIZE, SIZE, 3), "names": ["height", "width", "channel"]},
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
}


def main() -> None:
    """Makes the dataset in a new folder. FileExistsError if it is there."""
    dataset = LeRobotDataset.create(
        "local/reach", fps=10, features=FEATURES, root=Path(sys.argv[1]), robot_type="point", use_videos=False
    )
    random = np.random.default_rng(7)
    for _ in range(EPISODES):
        for frame in episode(random):
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    print(f"{EPISODES} episodes of {FRAMES} frames in {sys.argv[1]}")


def episode(random: np.random.Generator) -> Iterator[dict[str, Any]]:
    """One walk: each action goes a fifth of what is left of the way, with a little noise."""
    place, goal = random.uniform(0.1, 0.9, (2, 2)).astype(np.float32)
    for _ in range(FRAMES):
        noise = random.normal(0, 0.005, 2).astype(np.float32)
        action = (0.2 * (goal - place) + noise).astype(np.float32)
        yield {
            "observation.images.top": picture(place, goal),
            "observation.state": place.copy(),
            "action": action,
            "task": "walk to the red square",
        }
        place = np.clip(place + action, 0, 1).astype(np.float32)


def picture(place: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """What a camera above sees, (SIZE, SIZE, 3) uint8: the point in white, the goal in red."""
    image = np.full((SIZE, SIZE, 3), 40, np.uint8)
    for (x, y), colour in ((goal, (220, 30, 30)), (place, (240, 240, 240))):
        column, row = (round(float(value) * (SIZE - 4)) for value in (x, y))
        image[row : row + 4, column : column + 4] = colour
    return image


if __name__ == "__main__":
    main()
