"""What one run learns from: both domains' frames on the device, and who may be drawn when."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from auto_loop.trainers.act import dataset, pairs
from auto_loop.trainers.act.config import TrainConfig
from auto_loop.trainers.act.dataset import DataError, Demos, PairSampler
from auto_loop.trainers.act.frames import Frames

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Frame numbers count through the source domain first, then the target domain."""

    frames: Frames
    bc_frames: Ints
    bc_weights: npt.NDArray[np.float64]  # of each of bc_frames
    held_out: dict[str, Ints]
    pairs: PairSampler | None
    target_shift: int  # what a target frame's number is raised by

    def draw_bc(self, count: int, rng: np.random.Generator) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Frames [count] for behaviour cloning, and their weights."""
        chosen = rng.integers(len(self.bc_frames), size=count)
        return self.bc_frames[chosen], self.bc_weights[chosen]


def gather(config: TrainConfig, device: torch.device) -> Corpus:
    """Load what the config names; raises DataError with every fault that only the data can show."""
    target = dataset.load(Path(config.dataset.root))
    if not config.ot.enable:
        return _corpus(config, [target], None, device)
    source = dataset.load(Path(config.ot.src_root))
    if source.columns.keys() != target.columns.keys():
        raise DataError(
            f"ot.src_root has {', '.join(source.columns)}, but dataset.root has {', '.join(target.columns)}: "
            "both domains must hold the same keys"
        )
    if faults := dataset.missing_keys(config, source, target):
        raise DataError("\n".join(faults))
    sampler = PairSampler(source, target, pairs.load(Path(config.ot.pair_info_path)), config.ot)
    return _corpus(config, [source, target], sampler, device)


def _corpus(config: TrainConfig, demos: list[Demos], sampler: PairSampler | None, device: torch.device) -> Corpus:
    whole, target = dataset.joined(demos), demos[-1]
    shift = len(whole.end_of) - len(target.end_of)
    bc_frames = whole.frames("train")
    target_count = len(target.frames("train"))
    weights = np.ones(target_count)
    if sampler is not None:
        weights = dataset.bc_weights(len(bc_frames) - target_count, target_count, config.ot)
    statistics = dataset.statistics(whole, bc_frames)
    held_out = {name: target.frames(name) + shift for name in ("id", "ood")}
    return Corpus(
        frames=Frames(whole, statistics, config.policy.chunk_size, device),
        bc_frames=bc_frames,
        bc_weights=weights,
        held_out={name: rows for name, rows in held_out.items() if len(rows)},
        pairs=sampler,
        target_shift=shift,
    )
