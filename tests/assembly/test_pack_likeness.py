"""How far configs are from each other: relative, over the places that make another experiment of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.assembly.pack_likeness import NO_RATIO, differing, distance, tree_of
from auto_loop.domain.config import Config, Json
from auto_loop.domain.paths import parse_path


@pytest.mark.parametrize(
    ("one", "two", "apart"),
    [
        ({"lr": 0.1}, {"lr": 0.05}, math.log(2)),
        ({"lr": 0.1}, {"lr": 0.2}, math.log(2)),
        ({"lr": -2}, {"lr": -4}, math.log(2)),
        ({"lr": 2}, {"lr": 2.0}, 0.0),
        ({"lr": 0}, {"lr": 0.0}, 0.0),
        ({"lr": 0}, {"lr": 0.1}, NO_RATIO),
        ({"lr": 1}, {"lr": -1}, NO_RATIO),
        ({"on": True}, {"on": 1}, NO_RATIO),
        ({"name": "adam"}, {"name": "sgd"}, NO_RATIO),
        ({"k": None}, {"k": 3}, NO_RATIO),
        ({"k": [1, 2]}, {"k": [1]}, NO_RATIO),
        ({"a": 1}, {"b": 1}, 2 * NO_RATIO),
        ({"k": 10**400}, {"k": 1}, NO_RATIO),
        ({"k": 1e-200}, {"k": 2e-200}, math.log(2)),
        ({"k": 1e300}, {"k": 1e-300}, 600 * math.log(10)),
        ({"lr": 0.1, "f": [{"w": 1}, {"w": 4}]}, {"lr": 0.1, "f": [{"w": 1}, {"w": 2}]}, math.log(2)),
    ],
)
def test_the_distance_of_two_configs(one: dict[str, Json], two: dict[str, Json], apart: float) -> None:
    a, b = tree_of(Config.of(one), ()), tree_of(Config.of(two), ())
    assert distance(a, b) == distance(b, a) == pytest.approx(apart)


def test_places_that_make_no_other_experiment_are_left_out() -> None:
    ignore = [parse_path("seed"), parse_path("wandb"), parse_path("f.*.name")]
    config = Config.of({"seed": 1, "wandb": {"mode": "x"}, "f": [{"name": "n", "w": 1}]})
    assert [value for _, value in tree_of(config, ignore).items()] == [1]


def test_the_places_that_differ_are_named_with_both_values() -> None:
    one, two = Config.of({"lr": 0.1, "gone": "x", "a": 1}), Config.of({"lr": 0.2, "new": None, "a": 1.0})
    said = differing(tree_of(one, ()), tree_of(two, ()))
    assert said == ('gone "x" → not there', "lr 0.1 → 0.2", "new not there → null")


def test_what_is_far_enough_is_not_summed_any_further() -> None:
    a, b = tree_of(Config.of({"a": 1, "b": 1}), ()), tree_of(Config.of({"a": 9, "b": 9}), ())
    assert distance(a, b, 1.0) == math.inf


LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
TREE = st.recursive(LEAF, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below))
CONFIGS = st.dictionaries(st.text(max_size=3), TREE, max_size=4)


@given(CONFIGS, CONFIGS)
def test_it_is_a_distance(one: dict[str, Json], two: dict[str, Json]) -> None:
    a, b = tree_of(Config.of(one), ()), tree_of(Config.of(two), ())
    assert distance(a, a) == 0
    assert distance(a, b) >= 0
    assert distance(a, b) == pytest.approx(distance(b, a))
