"""What makes two launches the same experiment: values and arguments, in every spelling, and what does not count."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_loop.domain.config import Config
from auto_loop.domain.fingerprint import Launched, fingerprint_of, launched_fingerprint, places_told, under_seed
from auto_loop.domain.paths import parse_path

IGNORE = tuple(map(parse_path, ("output_dir", "seed", "steps", "wandb.*", "policy.device")))
TREE: dict[str, Any] = {"batch_size": 8, "seed": 1, "steps": 500, "policy": {"device": "cpu", "lr": 1e-3}}
CONFIG = Config.of(TREE)
WORDS = st.sampled_from(
    ["--a.b=1", "--seed=4", "--seed", "5", "--wandb.mode=online", "--x", "a=3", "+c.d=2", "--", "="]
)


def print_of(*extra: str, steps: int = 500, warm_from: str = "", config: Config = CONFIG) -> str:
    return launched_fingerprint(config, IGNORE, Launched(steps=steps, extra=extra, warm_from=warm_from))


def test_steps_arguments_and_a_warm_start_make_another_experiment() -> None:
    found = [print_of(), print_of(steps=1000), print_of("--batch_size=16"), print_of(warm_from="7"), print_of("--amp")]
    assert len(set(found)) == 5
    assert print_of() == print_of()


def test_the_configs_own_steps_do_not_count_beside_the_launched_ones() -> None:
    assert print_of(config=Config.of({**TREE, "steps": 9})) == print_of()


@pytest.mark.parametrize(
    "extra",
    [("--output_dir=there",), ("--seed=7",), ("--seed", "7"), ("--wandb.project=x", "--wandb.mode", "online"),
     ("--policy.device=cuda",), ("seed=3",)],
)  # fmt: skip
def test_arguments_about_what_is_ignored_do_not_count(extra: tuple[str, ...]) -> None:
    assert print_of(*extra) == print_of()
    assert print_of(*extra, "--amp") == print_of("--amp") != print_of()


@pytest.mark.parametrize("extra", [("--batch_size=16",), ("--batch_size", "16"), ("batch_size=16",)])
def test_what_an_argument_sets_is_the_arguments_whatever_the_config_says(extra: tuple[str, ...]) -> None:
    other = Config.of({**TREE, "batch_size": 99})
    assert print_of(*extra) == print_of(*extra, config=other)
    assert print_of("--amp") != print_of("--amp", config=other)
    assert places_told(extra) == (parse_path("batch_size"),)


def test_launched_with_nothing_a_config_has_its_own_fingerprint() -> None:
    assert launched_fingerprint(CONFIG, IGNORE, Launched()) == fingerprint_of(CONFIG, IGNORE)


def test_a_loop_does_not_say_what_all_its_jobs_have_in_common() -> None:
    loop = Launched(steps=500, extra=("--amp", "--seed=3"))
    assert Launched(steps=500, extra=("--amp",), warm_from="3").seen_from(loop, IGNORE) == Launched(warm_from="3")
    for other in (Launched(steps=600, extra=("--amp",)), Launched(steps=500), Launched(steps=500, extra=("--bf16",))):
        assert other.seen_from(loop, IGNORE) == other


def test_the_flags_that_a_loop_stored_say_what_it_launched() -> None:
    flags: dict[str, Any] = {"steps": 500, "extra": ["--hub.token=***"], "log_freq": 3, "cfgs": ["a"]}
    assert Launched.of_flags(flags, "4") == Launched(steps=500, extra=("--hub.token=***",), warm_from="4")
    assert Launched.of_flags({}) == Launched.of_flags({"steps": None, "extra": "x"}) == Launched()


def test_repeats_are_told_apart_by_their_seed() -> None:
    seed = parse_path("seed")
    other = Config.of({**TREE, "seed": 2})
    assert fingerprint_of(CONFIG, IGNORE) == fingerprint_of(other, IGNORE)
    assert under_seed("f", CONFIG, seed) != under_seed("f", other, seed) != under_seed("f", Config.of({}), seed)


@given(st.lists(WORDS, max_size=6).map(tuple), st.lists(WORDS, max_size=6).map(tuple))
def test_no_arguments_break_it_and_what_was_masked_stays_the_same(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (print_of(*one) == print_of(*other)) or one != other
    assert Launched(steps=1, extra=one).seen_from(Launched(steps=1, extra=one), IGNORE) == Launched()
