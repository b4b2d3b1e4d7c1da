"""What follows an ended attempt: again, a remedied child, or nothing more."""

from dataclasses import replace
from typing import Any

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import (
    Attempt,
    AttemptId,
    Job,
    JobId,
    JobState,
    NewAttempt,
    Outcome,
    StopCause,
    StopIntent,
)
from auto_loop.loop.aftermath import Replace, Retry, Settle, Terms, aftermath, back_off_s
from auto_loop.loop.endings import Logged
from auto_loop.rules.model import Pack
from auto_loop.rules.pack import parse, shipped_pack

NOW = 1000.0
CONFIG = {"batch_size": 16, "policy": {"optimizer_lr": 0.001}}


def attempt(number: int, outcome: Outcome | None, failure: Failure | None = None, **more: Any) -> Attempt:
    new = NewAttempt(
        job=JobId(1),
        slot=0,
        token="t",
        command=(),
        output_dir="out",
        log_file="log",
        claim_file="claim",
        exit_file="exit",
    )
    made = Attempt.of(new, id=AttemptId(number), number=number, created_at=0.0)
    return replace(made, outcome=outcome, failure=failure, **more)


def job(*attempts: Attempt, config: dict[str, Any] = CONFIG) -> Job:
    return Job(
        id=JobId(1),
        study="night",
        loop=1,
        round=1,
        position=1,
        name="a",
        cfg_file="a.json",
        config=Config.of(config),
        output_dir="out",
        state=JobState.RUNNING,
        attempts=attempts,
    )


def failed(failure: Failure, *, times: int = 1, terms: Terms | None = None, config: dict[str, Any] = CONFIG) -> Any:
    """What follows when the same failure came `times` times."""
    attempts = [
        attempt(number, Outcome.LOST if failure is Failure.LOST else Outcome.FAILED, failure)
        for number in range(1, times + 1)
    ]
    return aftermath(job(*attempts, config=config), attempts[-1], terms or Terms(), NOW)


def terms(pack: Pack, **more: Any) -> Terms:
    return Terms(remedies=pack.remedies, guardrails=pack.guardrails, **more)


ACT = shipped_pack("act_ot")


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.STOPPED, Outcome.CANCELLED])
def test_what_did_not_fail_is_settled_without_a_word(outcome: Outcome) -> None:
    ended = attempt(1, outcome)
    assert aftermath(job(ended), ended, terms(ACT), NOW) == Settle()


@pytest.mark.parametrize("failure", [one for one in Failure if one.may_pass])
def test_what_failed_by_no_fault_of_its_own_is_tried_again_up_to_retries(failure: Failure) -> None:
    first, second = failed(failure), failed(failure, times=2)
    assert isinstance(first, Retry)
    assert isinstance(second, Retry)
    assert NOW < first.not_before <= second.not_before
    assert first.text.startswith(failure.value)
    assert "try 2 of 3" in first.text
    assert failed(failure, times=3) == Settle(text="tried 3 times (--retries 2)")


@pytest.mark.parametrize("failure", [one for one in Failure if not one.may_pass])
def test_what_would_fail_again_is_not_tried_again_and_the_words_say_why(failure: Failure) -> None:
    found = failed(failure)
    assert isinstance(found, Settle)
    assert found.text


def test_without_retries_one_try_is_all() -> None:
    assert failed(Failure.TRANSIENT, terms=Terms(retries=0)) == Settle(text="tried once (--retries 0)")


def test_the_wait_doubles_up_to_five_minutes() -> None:
    assert [back_off_s(n, Failure.TRANSIENT) for n in range(1, 8)] == [10, 20, 40, 80, 160, 300, 300]
    assert [back_off_s(n, Failure.DISK_FULL) for n in (1, 4)] == [60, 80]
    assert back_off_s(10_000, Failure.HANG) == 300


def test_attempts_that_never_started_do_not_count() -> None:
    ended = attempt(4, Outcome.FAILED, Failure.TRANSIENT)
    never = [attempt(number, Outcome.CANCELLED) for number in (1, 2, 3)]
    found = aftermath(job(*never, ended), ended, Terms(retries=1), NOW)
    assert isinstance(found, Retry)
    assert found.not_before == NOW + 10


def test_the_ended_attempt_counts_whether_the_job_was_read_before_or_after_its_end() -> None:
    ended = attempt(1, Outcome.LOST, Failure.LOST)
    before = job(attempt(1, None))
    assert aftermath(before, ended, Terms(), NOW) == aftermath(job(ended), ended, Terms(), NOW)


@pytest.mark.parametrize("cause", [StopCause.PERSON, StopCause.JOB_TIMEOUT, StopCause.MAX_HOURS, StopCause.RULE])
def test_what_was_asked_to_stop_is_not_tried_again_though_it_failed_before_it_heard(cause: StopCause) -> None:
    stop = StopIntent(at=5.0, cause=cause, text="stopped by ann", grace_s=30)
    ended = attempt(1, Outcome.FAILED, Failure.OUT_OF_MEMORY, stop=stop)
    assert aftermath(job(ended), ended, terms(ACT), NOW) == Settle(text="not tried again: stopped by ann")


def test_a_refused_config_is_never_tried_again_nor_remedied() -> None:
    pack = parse('[[remedy]]\nfailure = "config refused"\nchange = { "batch_size@mul" = 0.5 }')
    found = failed(Failure.CONFIG_REFUSED, terms=terms(pack))
    assert found == Settle(text="a config that the trainer refused is never tried again")


@pytest.mark.parametrize("failure", [Failure.LOST, Failure.HANG])
def test_a_whole_history_is_not_made_again(failure: Failure) -> None:
    whole, part = Logged(last_step=2000, steps=2000), Logged(last_step=1999, steps=2000)
    assert "its history is whole" in failed(failure, terms=Terms(logged=whole)).text
    assert isinstance(failed(failure, terms=Terms(logged=part)), Retry)
    assert isinstance(failed(failure, terms=Terms(logged=Logged())), Retry)
    assert isinstance(failed(Failure.PREEMPTED, terms=Terms(logged=whole)), Retry)


def test_out_of_memory_halves_the_batch() -> None:
    found = failed(Failure.OUT_OF_MEMORY, terms=terms(ACT))
    assert isinstance(found, Replace)
    assert found.config.data() == {**CONFIG, "batch_size": 8}
    assert found.edits == ("batch_size@mul=0.5",)
    assert found.rule == "remedy: out of memory"
    assert "half the batch" in found.reason


def test_the_accumulation_is_doubled_where_the_trainer_has_it() -> None:
    found = failed(Failure.OUT_OF_MEMORY, terms=terms(ACT), config={**CONFIG, "gradient_accumulation_steps": 2})
    assert found.config.data() == {**CONFIG, "batch_size": 8, "gradient_accumulation_steps": 4}
    assert found.edits == ("batch_size@mul=0.5", "gradient_accumulation_steps@mul=2")


def test_a_batch_of_one_cannot_be_halved_and_its_accumulation_alone_is_no_remedy() -> None:
    config = {**CONFIG, "batch_size": 1, "gradient_accumulation_steps": 2}
    assert failed(Failure.OUT_OF_MEMORY, terms=terms(ACT), config=config) == Settle(text="batch_size is 1 already")


def test_a_remedy_is_bounded_in_a_line_of_descent() -> None:
    assert isinstance(failed(Failure.OUT_OF_MEMORY, terms=terms(ACT, tried_in_lineage=2)), Replace)
    found = failed(Failure.OUT_OF_MEMORY, terms=terms(ACT, tried_in_lineage=3))
    assert found == Settle(text="remedied 3 times already, which is this remedy's bound")
    assert isinstance(failed(Failure.NOT_FINITE, terms=terms(ACT, tried_in_lineage=1)), Replace)
    assert isinstance(failed(Failure.NOT_FINITE, terms=terms(ACT, tried_in_lineage=2)), Settle)


def test_a_remedy_keeps_to_the_guardrails() -> None:
    pack = parse(
        """
[guardrails]
allow = ["batch_size", "minibatch"]
[guardrails.derive]
"minibatch" = "batch_size / 2"
[guardrails.range]
"batch_size" = { min = 6 }
[[remedy]]
failure = "out of memory"
change = { "batch_size@mul" = 0.5 }
[[remedy]]
failure = "hang"
change = { "num_workers@set" = 0 }
"""
    )
    config = {"batch_size": 10, "minibatch": 5, "num_workers": 4}
    found = failed(Failure.OUT_OF_MEMORY, terms=terms(pack), config=config)
    assert isinstance(found, Replace)
    assert found.config.data() == {"batch_size": 6, "minibatch": 3, "num_workers": 4}
    assert any("clamped" in note for note in found.notes)
    again = failed(Failure.OUT_OF_MEMORY, terms=terms(pack), config={**config, "batch_size": 6, "minibatch": 3})
    assert again == Settle(text="batch_size is 6 already")


def test_a_remedy_that_is_refused_leaves_the_retry() -> None:
    pack = parse(
        '[guardrails]\nallow = ["batch_size"]\n[[remedy]]\nfailure = "hang"\nchange = { "num_workers@set" = 0 }'
    )
    config = {**CONFIG, "num_workers": 4}
    assert isinstance(failed(Failure.HANG, terms=terms(pack), config=config), Retry)


def test_a_remedy_for_places_that_the_config_lacks_says_so() -> None:
    found = failed(Failure.OUT_OF_MEMORY, terms=terms(ACT), config={"bs": 4})
    assert isinstance(found, Settle)
    assert "`batch_size` is not there" in found.text


def test_a_remedied_config_that_was_tried_already_is_not_run_again() -> None:
    from auto_loop.domain.fingerprint import fingerprint_of

    tried = fingerprint_of(Config.of({**CONFIG, "batch_size": 8}), ACT.guardrails.ignore)
    found = failed(Failure.OUT_OF_MEMORY, terms=terms(ACT, seen=frozenset({tried})))
    assert isinstance(found, Settle)
    assert "tried this very config already" in found.text


def test_another_seed_is_no_other_experiment_and_so_no_remedy() -> None:
    pack = parse('[[remedy]]\nfailure = "not finite"\nchange = { "seed@add" = 1 }')
    found = failed(Failure.NOT_FINITE, terms=terms(pack), config={"seed": 1, "lr": 0.1})
    assert isinstance(found, Settle)
    assert "changes nothing of its parent's config" in found.text


def test_the_first_remedy_that_fits_is_taken() -> None:
    pack = parse(
        """
[[remedy]]
failure = "out of memory"
change = { "micro_batch@mul" = 0.5 }
[[remedy]]
failure = "out of memory"
change = ["batch_size@mul=0.25"]
"""
    )
    assert failed(Failure.OUT_OF_MEMORY, terms=terms(pack)).config.data()["batch_size"] == 4


def test_the_remedied_child_of_a_child_ends_at_the_smallest_batch() -> None:
    """However often it fails, a line of descent comes to an end."""
    config, line = dict(CONFIG), []
    for tried in range(10):
        found = failed(Failure.OUT_OF_MEMORY, terms=terms(ACT, tried_in_lineage=tried), config=config)
        if not isinstance(found, Replace):
            break
        config = found.config.data()
        line.append(config["batch_size"])
    assert line == [8, 4, 2]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.LOST])
def test_attempts_of_before_there_were_classes_are_judged_by_their_outcome(outcome: Outcome) -> None:
    ended = attempt(1, outcome)
    found = aftermath(job(ended), ended, terms(ACT), NOW)
    assert isinstance(found, Retry if outcome is Outcome.LOST else Settle)
