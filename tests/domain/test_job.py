"""What a job tells of itself, and the words of states, stops and failures that ledgers hold for ever."""

from enum import StrEnum

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, JobState, NewAttempt, Outcome, StopCause
from auto_loop.domain.study import RoundState


def attempt(number: int, output_dir: str = "run") -> Attempt:
    new = NewAttempt(
        job=JobId(1),
        slot=0,
        token="t",
        command=("train",),
        output_dir=output_dir,
        log_file="log",
        claim_file="claim",
        exit_file="exit",
    )
    return Attempt.of(new, id=AttemptId(number + 100), number=number, created_at=5.0)


def job(*attempts: Attempt, state: JobState = JobState.QUEUED, outcome: Outcome | None = None) -> Job:
    return Job(
        id=JobId(1),
        study="s",
        loop=1,
        round=1,
        position=1,
        name="base",
        cfg_file="base.json",
        config=Config.of({}),
        output_dir="run",
        attempts=attempts,
        state=state,
        outcome=outcome,
    )


def test_a_new_attempt_that_is_numbered_is_open_and_unasked() -> None:
    made = attempt(2)
    assert (made.id, made.job, made.number, made.command, made.created_at) == (102, 1, 2, ("train",), 5.0)
    assert (made.started_at, made.ended_at, made.handle, made.stop, made.outcome, made.failure) == (None,) * 6


def test_only_an_attempt_in_the_folder_of_an_earlier_one_was_resumed() -> None:
    first, elsewhere, again = attempt(1), attempt(2, "run.a2"), attempt(3)
    of = job(first, elsewhere, again)
    assert [of.resumed(one) for one in of.attempts] == [False, False, True]
    assert of.last_attempt == again
    assert job().last_attempt is None


@pytest.mark.parametrize("state", list(JobState))
def test_a_job_has_an_outcome_exactly_when_it_is_done(state: JobState) -> None:
    unfit, fit = (None, Outcome.FAILED) if state is JobState.DONE else (Outcome.FAILED, None)
    assert job(state=state, outcome=fit).outcome is fit
    with pytest.raises(ValueError, match=f"state {state}"):
        job(state=state, outcome=unfit)


def test_a_failure_lies_outside_the_job_or_in_it_or_asks_for_a_remedy() -> None:
    assert not [each for each in Failure if each.may_pass and each.is_its_own]
    assert {each for each in Failure if not each.may_pass and not each.is_its_own} == {
        Failure.OUT_OF_MEMORY,
        Failure.NOT_FINITE,
    }


@pytest.mark.parametrize(
    ("queued", "active", "done", "over"),
    [(0, 0, 3, True), (0, 0, 0, False), (1, 0, 3, False), (0, 1, 3, False), (1, 1, 0, False)],
)
def test_a_round_is_over_when_all_its_jobs_have_ended(queued: int, active: int, done: int, over: bool) -> None:
    assert RoundState(round=1, queued=queued, active=active, done=done).over is over


KEPT: dict[type[StrEnum], set[str]] = {
    JobState: {"queued", "starting", "running", "done"},
    Outcome: {"succeeded", "failed", "stopped", "cancelled", "lost"},
    StopCause: {"person", "start timeout", "stall", "job timeout", "max hours"},
    Failure: {
        *("out of memory", "not finite", "hang", "preempted", "disk full", "gpu lost", "transient"),
        *("config refused", "crash at start", "crash", "lost"),
    },
}


@pytest.mark.parametrize("words", KEPT, ids=lambda words: words.__name__)
def test_a_word_that_ledgers_hold_is_never_taken_away(words: type[StrEnum]) -> None:
    assert KEPT[words] <= {each.value for each in words}
