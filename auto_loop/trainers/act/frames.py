"""Frames as tensors on the training device: batches for the policy, labels for the transport cost."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auto_loop.trainers.act.config import ACTION, IMAGE
from auto_loop.trainers.act.dataset import Demos, chunk_rows
from auto_loop.trainers.act.model import IS_PAD

Ints = npt.NDArray[np.int64]
Statistics = Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
IMAGE_MEAN, IMAGE_STD = 0.4, 0.25  # of brightness 0 to 1, near enough for both domains


class Frames:
    """One data set's columns, normalised once: everything fits in memory, so a batch is an index away."""

    def __init__(self, demos: Demos, statistics: Statistics, chunk: int, device: torch.device) -> None:
        self._demos, self._chunk, self._device = demos, chunk, device
        self._scales = {key: (_tensor(mean, device), _tensor(std, device)) for key, (mean, std) in statistics.items()}
        self._normal = {
            key: (_tensor(column, device) - self._scales[key][0]) / self._scales[key][1]
            for key, column in demos.columns.items()
            if key != IMAGE
        }
        # Pictures stay bytes: as floats they would take four times the memory for no gain.
        images = demos.columns.get(IMAGE)
        self._images = None if images is None else torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one frame by key, images channels first."""
        shapes = {key: tuple(column.shape[1:]) for key, column in self._normal.items()}
        return shapes if self._images is None else {**shapes, IMAGE: tuple(self._images.shape[1:])}

    def observations(self, frames: Ints) -> dict[str, Tensor]:
        """Normalised observations of the given frames, as the policy takes them."""
        rows = torch.from_numpy(frames).to(self._device)
        found = {key: column[rows] for key, column in self._normal.items() if key != ACTION}
        if self._images is not None:
            found[IMAGE] = (self._images[rows].float() / 255 - IMAGE_MEAN) / IMAGE_STD
        return found

    def batch(self, frames: Ints) -> dict[str, Tensor]:
        """Observations with the normalised chunk of actions [n, chunk, dim] and its padding mask [n, chunk]."""
        rows, held = chunk_rows(self._demos, frames, self._chunk)
        actions = self._normal[ACTION][torch.from_numpy(rows).to(self._device)]
        return {**self.observations(frames), ACTION: actions, IS_PAD: torch.from_numpy(held).to(self._device)}

    def label(self, key: str, frames: Ints, *, chunk: bool, normalised: bool) -> Tensor:
        """What was recorded under a key, [n, steps, dim]: an image's pixels, the chunk of actions or its first step.

        Raw values are in the data's own units (mm; brightness 0 to 1).
        """
        rows = torch.from_numpy(frames).to(self._device)
        if key == IMAGE:
            if self._images is None:
                raise KeyError(key)
            pixels = self._images[rows].float().flatten(1)[:, None] / 255
            return pixels / IMAGE_STD if normalised else pixels
        if key == ACTION and chunk:
            rows = torch.from_numpy(chunk_rows(self._demos, frames, self._chunk)[0]).to(self._device)
        values = self._normal[key][rows]
        values = values if values.dim() == 3 else values[:, None]
        mean, std = self._scales[key]
        return values if normalised else values * std + mean


def _tensor(values: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)
