"""Warping, episode weights, and what is drawn from them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from auto_loop.trainers.act import pairs
from auto_loop.trainers.act.config import OtConfig
from auto_loop.trainers.act.dataset import DataError, PairSampler, bc_weights, chunk_rows, load


def line(points: int, offset: float = 0.0) -> np.ndarray:
    return np.stack([np.linspace(0, 1, points), np.full(points, offset)], axis=1)


def test_an_episode_is_at_distance_zero_from_itself_and_aligned_frame_by_frame() -> None:
    info = pairs.align([line(7), line(9, 1.0)], [line(7)])
    assert info.distance[0, 0] == 0
    assert list(info.aligned[0, 0]) == list(range(7))


def test_the_distance_is_summed_along_the_path_over_the_longer_arc() -> None:
    info = pairs.align([line(5, 0.5)], [2 * line(5)])
    # Brute force over the same recurrence, one cell at a time.
    source, target = line(5, 0.5), 2 * line(5)
    total = np.full((6, 6), np.inf)
    total[0, 0] = 0
    for i in range(5):
        for j in range(5):
            best = min(total[i, j], total[i, j + 1], total[i + 1, j])
            total[i + 1, j + 1] = best + np.linalg.norm(target[i] - source[j])
    assert info.distance[0, 0] == pytest.approx(total[5, 5] / 2.0)


def test_alignment_is_monotone_and_covers_both_ends() -> None:
    rng = np.random.default_rng(0)
    info = pairs.align([rng.normal(size=(11, 3)).cumsum(0)], [rng.normal(size=(8, 3)).cumsum(0)])
    aligned = info.aligned[0, 0].astype(int)
    assert (np.diff(aligned) >= 0).all()
    assert 0 <= aligned[0] <= aligned[-1] <= 10


def test_weights_are_logistic_and_rows_sum_to_one() -> None:
    distance = np.array([[0.0, 0.01, 0.3], [0.2, 0.1, 0.4]])
    weights = pairs.episode_weights(distance, sharpness=10.0, cutoff=0.01, top=None)
    expected = 1 / (1 + np.exp(10 * (distance - 0.01)))
    assert np.allclose(weights, expected / expected.sum(1, keepdims=True))


def test_weights_far_above_the_cutoff_still_prefer_the_nearest() -> None:
    weights = pairs.episode_weights(np.array([[500.0, 500.1]]), sharpness=10.0, cutoff=0.01, top=None)
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.exp(1.0))


def test_only_the_nearest_episodes_are_left_with_top() -> None:
    distance = np.array([[0.3, 0.1, 0.2, 0.4]])
    weights = pairs.episode_weights(distance, sharpness=1.0, cutoff=0.01, top=2)
    assert list(weights[0] > 0) == [False, True, True, False]
    assert weights.sum() == pytest.approx(1)


def test_drawn_source_frames_lie_within_the_window(demonstrations: Path) -> None:
    source, target = (load(demonstrations / f"pick_place_state_{name}") for name in ("source_6", "target_2"))
    info = pairs.load(demonstrations / "pairs_source_6_target_2.npz")
    sampler = PairSampler(source, target, info, OtConfig(window_size=2))
    for at, frame in zip(*sampler.draw(64, np.random.default_rng(0)), strict=True):
        s = int(np.searchsorted(source.first, at, side="right")) - 1
        t = int(np.searchsorted(target.first, frame, side="right")) - 1
        assert target.split[t] == "train"
        partner = int(info.aligned[t, s, frame - target.first[t]])
        assert abs(int(at - source.first[s]) - partner) <= 2


def test_without_a_window_whole_episodes_are_drawn_from(demonstrations: Path) -> None:
    source, target = (load(demonstrations / f"pick_place_state_{name}") for name in ("source_6", "target_2"))
    info = pairs.load(demonstrations / "pairs_source_6_target_2.npz")
    still = dataclasses.replace(info, aligned=np.zeros_like(info.aligned))
    sampler = PairSampler(source, target, still, OtConfig(no_window=True))
    drawn, _ = sampler.draw(200, np.random.default_rng(0))
    offsets = drawn - source.first[np.searchsorted(source.first, drawn, side="right") - 1]
    assert offsets.max() > 20


def test_a_pair_file_of_other_data_is_refused(demonstrations: Path) -> None:
    source, target = (load(demonstrations / f"pick_place_state_{name}") for name in ("source_6", "target_2"))
    info = pairs.load(demonstrations / "pairs_source_6_target_2.npz")
    foreign = dataclasses.replace(info, source_lengths=info.source_lengths[:-1])
    with pytest.raises(DataError, match="another source data set"):
        PairSampler(source, target, foreign, OtConfig())


def test_bc_weights_by_frame_and_by_share() -> None:
    by_frame = bc_weights(3, 1, OtConfig(bc_src_weight=0.9))
    assert by_frame.mean() == pytest.approx(1)
    assert by_frame[0] / by_frame[3] == pytest.approx(9)
    by_share = bc_weights(3, 1, OtConfig(bc_src_weight=0.9, normalize_bc_weights_by_ds_size=True))
    assert by_share[:3].sum() / by_share.sum() == pytest.approx(0.9)


def test_a_chunk_is_held_at_its_episodes_end(demonstrations: Path) -> None:
    demos = load(demonstrations / "pick_place_state_target_2")
    end = int(demos.last[0])
    rows, held = chunk_rows(demos, np.array([end - 1]), 4)
    assert rows.tolist() == [[end - 1, end, end, end]]
    assert held.tolist() == [[False, False, True, True]]


def test_the_effective_number_of_source_episodes() -> None:
    distance = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 9.0, 9.0, 9.0]])
    weights = pairs.episode_weights(distance, sharpness=10.0, cutoff=0.01, top=None)
    assert pairs.effective_episodes(weights) == pytest.approx((4 + 1) / 2)
