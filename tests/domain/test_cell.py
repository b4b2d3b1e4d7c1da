"""Cells: which runs belong together, and what they say together."""

import math
from dataclasses import replace

import numpy as np
import pytest

from auto_loop.domain.cell import Cell, cells_of, pooled, seed_of, values_of
from auto_loop.domain.config import Config
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import (
    CONFIRMATION,
    REMEDY,
    REPEAT,
    Attempt,
    AttemptId,
    Job,
    JobId,
    JobState,
    Origin,
    Outcome,
    StopCause,
    StopIntent,
)
from auto_loop.domain.paths import parse_path
from auto_loop.domain.series import Source, series_of
from auto_loop.domain.stats import Direction, summarise
from auto_loop.domain.summary import Summary, summary_from_json

SEED = parse_path("seed")


def job(number: int, proposer: str = "", parent: int | None = None, seed: int = 1, **fields: object) -> Job:
    made = Job(
        id=JobId(number),
        study="s",
        loop=1,
        round=1,
        position=number,
        name=f"job{number}",
        cfg_file=f"job{number}.json",
        config=Config.of({"lr": 0.1, "seed": seed}),
        output_dir=f"out/job{number}",
        origin=Origin(parent=None if parent is None else JobId(parent), proposer=proposer),
        state=JobState.DONE,
        outcome=Outcome.SUCCEEDED,
    )
    return replace(made, **fields)  # type: ignore[arg-type] # a Job's own fields


def attempt(job_id: int, **fields: object) -> Attempt:
    made = Attempt(
        id=AttemptId(job_id),
        job=JobId(job_id),
        number=1,
        slot=0,
        gpus=(),
        token="t",
        command=(),
        output_dir="o",
        log_file="l",
        claim_file="c",
        exit_file="e",
        created_at=0.0,
    )
    return replace(made, **fields)  # type: ignore[arg-type] # an Attempt's own fields


def numbers(cells: tuple[Cell, ...]) -> list[list[int]]:
    return [[one.id for one in cell.jobs] for cell in cells]


def test_repeats_and_confirmations_belong_to_their_lead() -> None:
    jobs = [job(1), job(2), job(3, REPEAT, 1, 2), job(4, REPEAT, 2, 2), job(5, CONFIRMATION, 1, 3)]
    assert numbers(cells_of(jobs)) == [[1, 3, 5], [2, 4]]


def test_a_repeat_whose_lead_is_not_there_is_left_out() -> None:
    assert numbers(cells_of([job(2), job(9, CONFIRMATION, 1, 3)])) == [[2]]


def test_remedied_repeats_of_a_remedied_lead_are_its_repeats() -> None:
    jobs = [
        job(1, outcome=Outcome.FAILED),
        job(2, REPEAT, 1, 2, outcome=Outcome.FAILED),
        job(3, REPEAT, 1, 3),
        job(4, REMEDY, 1),
        job(5, REMEDY, 2, 2),
    ]
    assert numbers(cells_of(jobs)) == [[4, 5]], "job 3 ran with another config than the remedied ones"


def test_a_chain_of_remedies_ends_in_one_lead() -> None:
    jobs = [job(1), job(2, REMEDY, 1), job(3, REMEDY, 2), job(4, REPEAT, 1, 2), job(5, REMEDY, 4, 2)]
    assert numbers(cells_of(jobs)) == [[3]], "the repeat was remedied once, the lead twice"


def test_the_seed_is_a_whole_number_in_the_config() -> None:
    assert seed_of(Config.of({"train": {"seed": 7}}), parse_path("train.seed")) == 7
    for config in ({}, {"seed": None}, {"seed": True}, {"seed": "7"}, {"seed": 1.5}):
        assert seed_of(Config.of(config), SEED) is None


def test_a_run_that_failed_by_itself_counts_as_lost_and_one_that_was_stopped_says_nothing() -> None:
    stop = StopIntent(at=1.0, cause=StopCause.RULE, text="dead", grace_s=1.0)
    cell = Cell(
        lead=job(1),
        repeats=(
            job(2, REPEAT, 1, 2, outcome=Outcome.FAILED, attempts=(attempt(2, failure=Failure.NOT_FINITE),)),
            job(3, REPEAT, 1, 3, outcome=Outcome.FAILED, attempts=(attempt(3, failure=Failure.GPU_LOST),)),
            job(4, REPEAT, 1, 4, outcome=Outcome.STOPPED, attempts=(attempt(4, stop=stop),)),
            job(5, REPEAT, 1, 5, outcome=Outcome.STOPPED, attempts=(attempt(5),)),
        ),
    )
    values = values_of(cell, {JobId(number): float(number) for number in range(1, 6)}, SEED)
    assert values[1] == 1.0
    assert math.isnan(values[2])
    assert math.isnan(values[4])
    assert set(values) == {1, 2, 4}


def test_the_same_seed_twice_is_one_piece_of_evidence() -> None:
    cell = Cell(lead=job(1), repeats=(job(2, REPEAT, 1, 1),))
    assert values_of(cell, {JobId(1): 1.0, JobId(2): 3.0}, SEED) == {1: 3.0}


def summary(*values: float, steps: tuple[int, ...] = (10, 20, 30)) -> Summary:
    series = {"loss": series_of("loss", steps[: len(values)], list(values), Source.METRICS)}
    return Summary(run_dir="r", series=series, metrics=summarise(series, lambda _: Direction.LOWER))


def test_runs_are_pooled_by_the_median_of_each_step() -> None:
    runs = [summary(3.0, 2.0, 1.0), summary(5.0, math.nan, 3.0), summary(4.0, 4.0, math.inf)]
    found = pooled(runs, lambda _: Direction.LOWER)
    stats = found.metrics["loss"]
    assert list(found.series["loss"].values) == [4.0, 3.0, 2.0]
    assert (stats.first, stats.last, stats.best, stats.best_step, stats.nan_count) == (4.0, 2.0, 2.0, 30, 2)


def test_two_huge_values_have_a_median() -> None:
    found = pooled([summary(1.6e308, 1.6e308), summary(1.8e308 / 1.125, 1.7e308)], lambda _: Direction.LOWER)
    assert found.metrics["loss"].last == pytest.approx(1.65e308)


def test_steps_that_not_all_have_logged_are_left_out() -> None:
    found = pooled([summary(3.0, 2.0, 1.0), summary(5.0, 4.0)], lambda _: Direction.LOWER)
    assert list(found.series["loss"].steps) == [10, 20]


def test_a_step_without_any_finite_value_stays_without_one() -> None:
    found = pooled([summary(math.nan, 1.0), summary(math.inf, 3.0)], lambda _: Direction.LOWER)
    assert np.isnan(found.series["loss"].values[0])
    assert found.metrics["loss"].first == found.metrics["loss"].last == 2.0


def test_without_series_the_statistics_themselves_are_pooled() -> None:
    runs = [
        summary_from_json({"metrics": {"loss": {"first": 4, "last": last, "best": last, "best_step": 30, "n": 3}}})
        for last in (1, 2, 9)
    ]
    stats = pooled(runs, lambda _: Direction.LOWER).metrics["loss"]
    assert (stats.first, stats.last, stats.delta, stats.pct, stats.n) == (4, 2, -2, -50, 3)


def test_one_run_is_itself_and_none_is_a_mistake() -> None:
    one = summary(1.0, 2.0)
    assert pooled([one], lambda _: Direction.LOWER) is one
    with pytest.raises(ValueError, match="no summaries"):
        pooled([], lambda _: Direction.LOWER)


def test_a_repeat_that_was_remedied_alone_counts_against_its_config() -> None:
    jobs = [job(1), job(2, REPEAT, 1, seed=2), job(3, REMEDY, 2, seed=2)]
    assert numbers(cells_of(jobs)) == [[1, 2]], "job 3 is another config, and job 2 is what became of this one"


def test_the_runs_that_confirm_a_remedied_lead_are_its_repeats() -> None:
    jobs = [job(1), job(2, REMEDY, 1), job(3, CONFIRMATION, 2, seed=9)]
    assert numbers(cells_of(jobs)) == [[2, 3]]


def test_a_remedied_config_keeps_its_place_among_the_others() -> None:
    assert numbers(cells_of([job(1), job(2), job(3, REMEDY, 1)])) == [[3], [2]]
