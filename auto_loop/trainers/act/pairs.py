"""Which source episode goes with which target episode, and which frame with which: dynamic time warping on motion.

Computed once for a pair of data sets and kept beside them, because every job of a study needs the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairInfo:
    """Distances and alignments of T target episodes to S source episodes."""

    distance: Floats  # [T, S], summed along the warping path, divided by the longer of the two arc lengths
    aligned: npt.NDArray[np.int16]  # [T, S, longest target]: the source frame beside each target frame; -1 past the end
    source_lengths: Ints
    target_lengths: Ints


def align(source: Sequence[Floats], target: Sequence[Floats]) -> PairInfo:
    """Align every target episode with every source episode; each is [frames, dimensions] of the same dimensions."""
    source_lengths, target_lengths = (np.array([len(e) for e in side]) for side in (source, target))
    stacked = _padded(source)
    arcs = np.array([_arc_length(episode) for episode in source])
    distance = np.empty((len(target), len(source)))
    aligned = np.full((len(target), len(source), target_lengths.max()), -1, dtype=np.int16)
    for t, episode in enumerate(target):
        total = _accumulate(episode, stacked)
        ends = total[len(episode) - 1, source_lengths - 1, np.arange(len(source))]
        distance[t] = ends / np.maximum(arcs, _arc_length(episode))
        for s, length in enumerate(source_lengths):
            aligned[t, s, : len(episode)] = _partners(total[:, :length, s])
    return PairInfo(distance=distance, aligned=aligned, source_lengths=source_lengths, target_lengths=target_lengths)


def episode_weights(distance: Floats, *, sharpness: float, cutoff: float, top: int | None) -> Floats:
    """Each target episode's chances [T, S] of the source episodes: logistic in the distance, rows sum to 1.

    The weight is 1 / (1 + exp(sharpness (d - cutoff))) (arXiv 2509.18631), taken as a logarithm first: far above the
    cutoff all weights of a row may underflow, and yet their ratios say which episode is nearest.
    """
    log_weight = -np.logaddexp(0.0, sharpness * (distance - cutoff))
    if top is not None and top < distance.shape[1]:
        beyond = np.argsort(distance, axis=1, kind="stable")[:, top:]
        np.put_along_axis(log_weight, beyond, -np.inf, axis=1)
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    normalised: Floats = weight / weight.sum(axis=1, keepdims=True)
    return normalised


def effective_episodes(weights: Floats) -> float:
    """How many source episodes a target episode is in effect paired with: exp of the chances' entropy, over rows."""
    entropy = -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum(axis=1)
    return float(np.exp(entropy).mean())


def save(info: PairInfo, place: Path) -> None:
    """Write a pair file; the name is taken as it is."""
    with place.open("wb") as file:
        np.savez(
            file,
            distance=info.distance,
            aligned=info.aligned,
            source_lengths=info.source_lengths,
            target_lengths=info.target_lengths,
        )


def load(place: Path) -> PairInfo:
    """Read a pair file."""
    with np.load(place) as arrays:
        return PairInfo(**{name: arrays[name] for name in PairInfo.__slots__})


def _padded(episodes: Sequence[Floats]) -> Floats:
    """[longest, episodes, dimensions]; what lies past an episode's end is never on a path that is read."""
    stacked = np.zeros((max(map(len, episodes)), len(episodes), episodes[0].shape[1]))
    for index, episode in enumerate(episodes):
        stacked[: len(episode), index] = episode
    return stacked


def _arc_length(episode: Floats) -> float:
    return float(np.linalg.norm(np.diff(episode, axis=0), axis=1).sum())


def _accumulate(episode: Floats, stacked: Floats) -> Floats:
    """Least summed distance [i, j, s] of a path from the first frames to frame i of target and j of source s."""
    step: Floats = np.linalg.norm(episode[:, None, None, :] - stacked[None], axis=-1)
    total = np.empty_like(step)
    total[0] = np.cumsum(step[0], axis=0)
    for i in range(1, len(episode)):
        before = total[i - 1]
        entry = before.copy()
        np.minimum(before[1:], before[:-1], out=entry[1:])
        total[i, 0] = entry[0] + step[i, 0]
        for j in range(1, len(entry)):
            total[i, j] = np.minimum(entry[j], total[i, j - 1]) + step[i, j]
    return total


def _partners(total: Floats) -> Ints:
    """For each target frame the middle one of the source frames that the best path matches it with."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    first, last = np.zeros(i + 1, dtype=np.int64), np.zeros(i + 1, dtype=np.int64)
    last[i] = first[i] = j
    while i or j:
        moves = [(total[a, b], a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
        _, a, b = min(moves, key=lambda move: move[0])
        if a < i:
            last[a] = b
        first[a] = b
        i, j = a, b
    return (first + last) // 2
