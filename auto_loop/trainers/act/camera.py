"""Small RGB pictures of a MuJoCo scene by casting rays on the CPU: no OpenGL, no display, 1-2 ms each."""

from dataclasses import dataclass
from typing import Any

import mujoco  # type: ignore[import-untyped]  # ships no types
import numpy as np
import numpy.typing as npt

SIDE = 32
SKY = np.array([0.55, 0.65, 0.75])
GOAL_RADIUS, GOAL_COLOUR = 0.035, np.array([0.1, 0.25, 1.0])

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where a camera stands, and what it does to the colours that it sees."""

    eye: tuple[float, float, float]
    at: tuple[float, float, float] = (0.0, 0.72, 0.11)
    field_of_view: float = 27.0  # degrees; a 4 cm puck is two to three pixels wide at this distance
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: float = 0.0  # standard deviation in units of full brightness


class RayCamera:
    """A fixed camera on one model: `shoot` gives [32, 32, 3] uint8."""

    def __init__(self, model: Any, look: Look) -> None:
        self._model, self._look = model, look
        self._eye = np.array(look.eye)
        self._rays = _rays(look)
        self._flat_rays = np.ascontiguousarray(self._rays.reshape(-1))
        self._colours = _colours(model)
        self._hit = np.empty(SIDE * SIDE, dtype=np.int32)
        self._distance = np.empty(SIDE * SIDE)

    def shoot(self, data: Any, goal: Floats, rng: np.random.Generator) -> Pixels:
        n = SIDE * SIDE
        mujoco.mj_multiRay(
            self._model, data, self._eye, self._flat_rays, None, 1, -1, self._hit, self._distance, n, mujoco.mjMAXVAL
        )
        seen = self._hit >= 0
        # Nearer is brighter: the only shading that a bare ray caster gives for nothing.
        light = np.clip(1.7 - 0.6 * self._distance, 0.4, 1.2)[:, None]
        colour = np.where(seen[:, None], self._colours[self._hit] * light, SKY)
        goal_distance = _sphere_distance(self._eye, self._rays, goal, GOAL_RADIUS)
        in_front = goal_distance < np.where(seen, self._distance, np.inf)
        colour = np.where(in_front[:, None], GOAL_COLOUR, colour) * self._look.tint
        if self._look.noise:
            colour = colour + rng.normal(0.0, self._look.noise, colour.shape)
        return (np.clip(colour, 0, 1) * 255).astype(np.uint8).reshape(SIDE, SIDE, 3)


def _rays(look: Look) -> Floats:
    """Unit vectors [32 * 32, 3] through the pixels' centres, row by row from the top left."""
    forward = np.subtract(look.at, look.eye)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    half = np.tan(np.radians(look.field_of_view) / 2)
    across = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1) * half
    rays: Floats = forward + across[None, :, None] * right - across[:, None, None] * up
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return rays.reshape(-1, 3)


def _colours(model: Any) -> Floats:
    """One colour a geom: its own, times its material's where it has one."""
    materials = np.asarray(model.geom_matid)
    own = np.asarray(model.geom_rgba, dtype=np.float64)[:, :3].copy()
    with_material = materials >= 0
    own[with_material] *= np.asarray(model.mat_rgba, dtype=np.float64)[materials[with_material], :3]
    return own


def _sphere_distance(eye: Floats, rays: Floats, centre: Floats, radius: float) -> Floats:
    """Distance along each ray to a sphere, infinite where it misses."""
    to_centre = centre - eye
    along = rays @ to_centre
    gap = radius**2 - (to_centre @ to_centre - along**2)
    return np.where(gap >= 0, along - np.sqrt(np.maximum(gap, 0)), np.inf)
