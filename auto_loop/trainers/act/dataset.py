"""The demonstrations in memory: loading them, drawing behaviour-cloning frames and source-target pairs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auto_loop.trainers.act import pairs
from auto_loop.trainers.act.config import IMAGE, KEYS, STATE, OtConfig, TrainConfig
from auto_loop.trainers.act.once import Product, make_missing

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class DataError(Exception):
    """The data that a config names cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demos:
    """Episodes, one after the other, as columns with a row a frame."""

    columns: Mapping[str, npt.NDArray[Any]]
    first: Ints  # of each episode
    last: Ints
    split: tuple[str, ...]  # of each episode: train, id or ood
    end_of: Ints  # of each frame: the last frame of its episode

    def episodes(self, split: str) -> Ints:
        return np.array([index for index, name in enumerate(self.split) if name == split], dtype=np.int64)

    def frames(self, split: str) -> Ints:
        spans = [np.arange(self.first[e], self.last[e] + 1) for e in self.episodes(split)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *spans])

    def motion(self, episode: int) -> Floats:
        """Proprioception of one episode, what two domains have in common whatever their cameras see."""
        span = slice(self.first[episode], self.last[episode] + 1)
        return self.columns[STATE][span].astype(np.float64)


def load(folder: Path) -> Demos:
    """Read `episodes.npz` of a data set."""
    with np.load(folder / "episodes.npz") as stored:
        columns = {key: stored[key] for key in stored.files}
    episode, split = columns.pop("episode_index"), columns.pop("split")
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    last = np.append(first[1:], len(episode)) - 1
    return Demos(
        columns={key: columns[key] for key in KEYS if key in columns},
        first=first,
        last=last,
        split=tuple(str(split[index]) for index in first),
        end_of=last[np.searchsorted(first, np.arange(len(episode)), side="right") - 1],
    )


def joined(demos: list[Demos]) -> Demos:
    """Several data sets of the same keys as one, in their order."""
    sizes = [len(d.end_of) for d in demos]
    shifts = np.cumsum([0, *sizes[:-1]])
    return Demos(
        columns={key: np.concatenate([d.columns[key] for d in demos]) for key in demos[0].columns},
        first=np.concatenate([d.first + shift for d, shift in zip(demos, shifts, strict=True)]),
        last=np.concatenate([d.last + shift for d, shift in zip(demos, shifts, strict=True)]),
        split=tuple(name for d in demos for name in d.split),
        end_of=np.concatenate([d.end_of + shift for d, shift in zip(demos, shifts, strict=True)]),
    )


def prepare(config: TrainConfig) -> None:
    """Make the demonstrations and the pair file that the config names and that are not there yet.

    Raises DataError for a missing folder whose name stands for no recipe.
    """
    roots = [Path(config.dataset.root)]
    if config.ot.enable:
        roots.append(Path(config.ot.src_root))
    make_missing([_demos_product(root) for root in roots if not root.exists()])
    if config.ot.enable:
        source, target = Path(config.ot.src_root), Path(config.dataset.root)
        make_missing([Product(place=Path(config.ot.pair_info_path), make=lambda place: _pair(source, target, place))])


def _demos_product(root: Path) -> Product:
    from auto_loop.trainers.act import demos

    recipe = demos.recipe_for(root.name)
    if recipe is None:
        raise DataError(
            f"no data set at {root}, and its name stands for none that could be made; such names are "
            "pick_place_source_99, pick_place_target_5, pick_place_state_source_8, pick_place_state_target_2"
        )
    return Product(place=root, make=lambda place: demos.make(recipe, place))


def _pair(source: Path, target: Path, place: Path) -> None:
    sides = [load(source), load(target)]
    pairs.save(pairs.align(*([d.motion(e) for e in d.episodes("train")] for d in sides)), place)


def bc_weights(source_frames: int, target_frames: int, ot: OtConfig) -> Floats:
    """The BC loss's weight of every training frame, source first, of mean 1.

    By frame, `bc_src_weight` is what one source frame counts against one target frame; normalised by size, it is the
    source's share of the whole loss.
    """
    source, target = ot.bc_src_weight, 1 - ot.bc_src_weight
    if ot.normalize_bc_weights_by_ds_size:
        source, target = source / source_frames, target / target_frames
    weights = np.concatenate([np.full(source_frames, source), np.full(target_frames, target)])
    mean_one: Floats = weights / weights.mean()
    return mean_one


class PairSampler:
    """Draws frames of both domains that belong together, by episode distance and time alignment."""

    def __init__(self, source: Demos, target: Demos, info: pairs.PairInfo, ot: OtConfig) -> None:
        self._source, self._target, self._info, self._ot = source, target, info, ot
        self._source_episodes, self._target_episodes = source.episodes("train"), target.episodes("train")
        self._check()
        weights = pairs.episode_weights(
            info.distance, sharpness=ot.sharpness, cutoff=ot.cutoff, top=ot.topk_src_episodes
        )
        self.source_episodes = pairs.effective_episodes(weights)
        self._cumulative = np.cumsum(weights, axis=1)
        self._cumulative[:, -1] = 1.0  # the sum may fall short by a rounding, a draw must not fall past it

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Source and target frame numbers [count], each in its own data set."""
        chosen = [self._one(rng) for _ in range(count)]
        source, target = np.array(chosen, dtype=np.int64).T
        return source, target

    def _one(self, rng: np.random.Generator) -> tuple[int, int]:
        t = int(rng.integers(len(self._target_episodes)))
        s = int(np.searchsorted(self._cumulative[t], rng.random(), side="right"))
        at = int(rng.integers(self._info.target_lengths[t]))
        low, high = 0, int(self._info.source_lengths[s]) - 1
        if not self._ot.no_window:
            middle = int(self._info.aligned[t, s, at])
            low, high = max(low, middle - self._ot.window_size), min(high, middle + self._ot.window_size)
        source_first = self._source.first[self._source_episodes[s]]
        target_first = self._target.first[self._target_episodes[t]]
        return int(source_first + rng.integers(low, high + 1)), int(target_first + at)

    def _check(self) -> None:
        sides = (
            ("source", self._info.source_lengths, self._source, self._source_episodes),
            ("target", self._info.target_lengths, self._target, self._target_episodes),
        )
        for name, lengths, demos, episodes in sides:
            if not np.array_equal(lengths, demos.last[episodes] - demos.first[episodes] + 1):
                raise DataError(
                    f"ot.pair_info_path: {self._ot.pair_info_path} was made for another {name} data set; "
                    "name another file, and it is made"
                )


def statistics(demos: Demos, frames: Ints) -> dict[str, tuple[Floats, Floats]]:
    """Mean and standard deviation of every key but the images, over the given frames."""
    found = {}
    for key in demos.columns:
        if key != IMAGE:
            rows = demos.columns[key][frames].astype(np.float64)
            found[key] = (rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6))
    return found


def missing_keys(config: TrainConfig, source: Demos, target: Demos) -> list[str]:
    """Faults of the features that ask for what the data does not hold."""
    faults = []
    for index, feature in enumerate(config.ot.loss_config.features):
        path = f"ot.loss_config.features.{index}"
        for side, key, demos in (("src_key", feature.src_key, source), ("tgt_key", feature.tgt_key, target)):
            if key not in demos.columns:
                faults.append(f"{path}.{side}: the data set has no {key!r}; it has {', '.join(demos.columns)}")
            elif feature.dim_slice is not None and feature.dim_slice[1] > _label_width(demos, key):
                width = _label_width(demos, key)
                faults.append(f"{path}.dim_slice: {feature.dim_slice} ends past the {width} of {key!r}")
    return faults


def _label_width(demos: Demos, key: str) -> int:
    return int(np.prod(demos.columns[key].shape[1:]))


def describe(folder: Path) -> str:
    """One line of what a data set holds, from its meta.json."""
    meta = json.loads((folder / "meta.json").read_text())
    splits = ", ".join(f"{count} {name}" for name, count in meta["splits"].items())
    return f"{folder}: {splits} episodes, {meta['frames']} frames"


def chunk_rows(demos: Demos, frames: Ints, chunk: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Rows [n, chunk] of the actions that follow each frame, held at the episode's end, and which of them are held."""
    rows = frames[:, None] + np.arange(chunk)
    ends = demos.end_of[frames][:, None]
    return np.minimum(rows, ends), rows > ends
