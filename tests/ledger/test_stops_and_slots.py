"""Intents to stop, who drives a study and how its slots stand; and what `auto-loop why` asks of the ledger."""

from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, Origin, Outcome, StopCause, StopIntent
from auto_loop.ledger.ledger import Ledger
from tests.ledger.make import (
    LOOP,
    STUDY,
    ending,
    event,
    new_attempt,
    new_job,
    open_ledger,
    open_study,
    run_attempt,
    slot_state,
    stop_intent,
    supervisor,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_study(tmp_path / "ledger.sqlite3")


def job_of(ledger: Ledger, job: JobId) -> Job:
    found = ledger.reading.job(job)
    assert found is not None
    return found


def attempt_of(ledger: Ledger, attempt: AttemptId) -> Attempt:
    return next(one for job in ledger.reading.history(STUDY).jobs for one in job.attempts if one.id == attempt)


def stop_of(ledger: Ledger, attempt: AttemptId) -> StopIntent | None:
    return attempt_of(ledger, attempt).stop


def test_an_intent_to_stop_is_kept_and_outlives_the_process(tmp_path: Path, ledger: Ledger) -> None:
    asked, other = (run_attempt(ledger, ledger.add_job(new_job(name)), slot) for slot, name in enumerate("ab"))
    ledger.ask_to_stop(asked, stop_intent())
    ledger.close()
    with open_ledger(tmp_path / "ledger.sqlite3") as again:
        assert stop_of(again, asked) == stop_intent()
        assert stop_of(again, other) is None
        assert [job.attempts[-1].stop for job in again.reading.snapshot(STUDY, LOOP, 1).active] == [stop_intent(), None]


@pytest.mark.parametrize("cause", list(StopCause))
def test_every_cause_of_a_stop_comes_back(ledger: Ledger, cause: StopCause) -> None:
    attempt = ledger.start_attempt(new_attempt(ledger.add_job(new_job("a"))))
    ledger.ask_to_stop(attempt, stop_intent(cause, ""))
    assert stop_of(ledger, attempt) == stop_intent(cause, "")


def test_a_second_intent_takes_the_place_of_the_first_and_does_not_unsay_the_signal(ledger: Ledger) -> None:
    attempt = run_attempt(ledger, ledger.add_job(new_job("a")))
    ledger.ask_to_stop(attempt, stop_intent(StopCause.STALL, "no sign of life"))
    ledger.ask_to_stop(attempt, stop_intent())
    assert stop_of(ledger, attempt) == stop_intent()
    ledger.stop_sent([attempt])
    now = replace(stop_intent(), at=stop_intent().at + 5, grace_s=0.0)
    ledger.ask_to_stop(attempt, now)
    assert stop_of(ledger, attempt) == replace(now, sent=True), "a trainer that is told twice may end before it saved"


def test_what_has_ended_cannot_be_stopped_and_keeps_its_intent(ledger: Ledger) -> None:
    attempt = run_attempt(ledger, ledger.add_job(new_job("a")))
    ledger.ask_to_stop(attempt, stop_intent())
    ledger.finish_attempt(attempt, ending(Outcome.STOPPED))
    for unfit in (attempt, AttemptId(99)):
        with pytest.raises(RefusedError, match=f"attempt {unfit} is unknown or has ended: it cannot be stopped"):
            ledger.ask_to_stop(unfit, stop_intent(StopCause.MAX_HOURS, "late"))
    ledger.stop_sent([attempt])
    assert stop_of(ledger, attempt) == replace(stop_intent(), sent=True), "it was sent, though it ended meanwhile"


def test_only_an_attempt_that_was_asked_is_marked_as_told(ledger: Ledger) -> None:
    first, second, never = (run_attempt(ledger, ledger.add_job(new_job(name)), slot) for slot, name in enumerate("abc"))
    for attempt in (first, second):
        ledger.ask_to_stop(attempt, stop_intent())
    ledger.stop_sent([first, never])
    assert [stop_of(ledger, one) for one in (first, second)] == [replace(stop_intent(), sent=True), stop_intent()]
    ledger.ask_to_stop(never, stop_intent())
    assert stop_of(ledger, never) == stop_intent(), "a signal without an intent is not one for the next intent"


def test_a_next_attempt_begins_without_the_stop_of_the_one_before(ledger: Ledger) -> None:
    job = ledger.add_job(new_job("a"))
    first = run_attempt(ledger, job)
    ledger.ask_to_stop(first, stop_intent(StopCause.STALL, "no sign of life"))
    ledger.finish_attempt(first, ending(Outcome.FAILED, failure=Failure.HANG))
    ledger.requeue(job)
    run_attempt(ledger, job)
    before, now = job_of(ledger, job).attempts
    assert (before.stop is not None, before.failure) == (True, Failure.HANG)
    assert (now.stop, now.failure) == (None, None)


@pytest.mark.parametrize("failure", [*Failure, None])
def test_every_class_of_failure_comes_back(ledger: Ledger, failure: Failure | None) -> None:
    attempt = run_attempt(ledger, ledger.add_job(new_job("a")))
    ledger.finish_attempt(attempt, ending(Outcome.FAILED, failure=failure))
    assert attempt_of(ledger, attempt).failure is failure


def test_a_success_with_a_failure_is_refused_and_the_attempt_stays_open(ledger: Ledger) -> None:
    attempt = run_attempt(ledger, ledger.add_job(new_job("a")))
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.finish_attempt(attempt, replace(ending(), failure=Failure.CRASH))
    assert attempt_of(ledger, attempt).ended_at is None


def test_a_supervisor_is_known_from_its_first_word_to_its_last(ledger: Ledger) -> None:
    assert ledger.reading.supervisor(STUDY) is None
    ledger.supervisor_left(STUDY)
    assert ledger.reading.supervisor(STUDY) is None, "nobody left who never came"
    ledger.record_supervisor(supervisor())
    assert ledger.reading.supervisor(STUDY) == supervisor()
    ledger.supervisor_left(STUDY)
    left = ledger.reading.supervisor(STUDY)
    assert left is not None
    assert left.ended_at is not None
    ledger.supervisor_left(STUDY)
    assert ledger.reading.supervisor(STUDY) == left, "it leaves once"


def test_a_new_supervisor_takes_the_place_of_one_that_left_or_was_killed(ledger: Ledger) -> None:
    ledger.record_supervisor(supervisor(pid=77))
    ledger.record_supervisor(supervisor(pid=78))
    assert ledger.reading.supervisor(STUDY) == supervisor(pid=78), "of one that was killed nothing is left"
    ledger.supervisor_left(STUDY)
    newest = replace(supervisor(pid=79), host="node2", boot_id="other", start_time=9, since=1_700_009_000.0)
    ledger.record_supervisor(newest)
    assert ledger.reading.supervisor(STUDY) == newest, "it has not left, whatever the one before did"


def test_supervisors_are_of_their_study(ledger: Ledger) -> None:
    ledger.ensure_study("another", "default", "script")
    ledger.record_supervisor(supervisor())
    ledger.record_supervisor(supervisor("another", pid=5))
    ledger.supervisor_left("another")
    assert ledger.reading.supervisor(STUDY) == supervisor()
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.record_supervisor(supervisor("nobody"))


def test_slots_change_one_by_one_or_anew(ledger: Ledger) -> None:
    assert ledger.reading.slots(LOOP) == ()
    ledger.record_slots(LOOP, [slot_state(2), slot_state(0, "another program holds it"), slot_state(1)], anew=True)
    whole = (slot_state(0, "another program holds it"), slot_state(1), slot_state(2))
    assert ledger.reading.slots(LOOP) == whole, "in their order"
    moved = replace(slot_state(1, "its GPU is lost"), place="GPU 7", gpus=("GPU-a", "GPU-b"), numbers=(7, 8), since=9.5)
    ledger.record_slots(LOOP, [moved])
    assert ledger.reading.slots(LOOP) == (whole[0], moved, whole[2]), "what is not named stays"
    ledger.record_slots(LOOP, [slot_state(1)], anew=True)
    assert ledger.reading.slots(LOOP) == (slot_state(1),), "anew: what it had before is gone"


def test_slots_are_of_their_loop_and_recorded_whole_or_not_at_all(ledger: Ledger) -> None:
    ledger.open_loop(STUDY, LOOP + 1, {})
    ledger.record_slots(LOOP, [slot_state(0)])
    ledger.record_slots(LOOP + 1, [slot_state(5)], anew=True)
    assert (ledger.reading.slots(LOOP), ledger.reading.slots(LOOP + 1)) == ((slot_state(0),), (slot_state(5),))
    ledger.record_slots(LOOP, [slot_state(0)], anew=True)
    assert ledger.reading.slots(LOOP + 1) == (slot_state(5),), "anew in one loop leaves the others"
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.record_slots(LOOP, [slot_state(1), slot_state(-1)], anew=True)
    assert ledger.reading.slots(LOOP) == (slot_state(0),), "not even dropped"
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.record_slots(LOOP + 9, [slot_state(0)])


def test_a_stop_and_the_slots_are_a_part_of_the_turn_s_one_commit(ledger: Ledger) -> None:
    attempt = run_attempt(ledger, ledger.add_job(new_job("a")))

    def broken_off() -> None:
        with ledger.transaction():
            ledger.ask_to_stop(attempt, stop_intent())
            ledger.record_slots(LOOP, [slot_state(0)], anew=True)
            ledger.record_event(event("job stopping"))
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert (stop_of(ledger, attempt), ledger.reading.slots(LOOP), ledger.reading.events(LOOP)) == (None, (), ())


def test_a_job_is_found_by_its_name_in_the_newest_loop(ledger: Ledger) -> None:
    old = ledger.add_job(new_job("base"))
    only_there = ledger.add_job(new_job("only there"))
    run_attempt(ledger, only_there)
    ledger.open_loop(STUDY, LOOP + 1, {})
    new = ledger.add_job(new_job("base", loop=LOOP + 1))
    ledger.ensure_study("another", "default", "script")
    ledger.open_loop("another", LOOP + 2, {})
    foreign = ledger.add_job(replace(new_job("base", loop=LOOP + 2), study="another"))
    named = ledger.reading.job_named
    assert named("base") == job_of(ledger, foreign)
    assert named("base", STUDY) == job_of(ledger, new) != job_of(ledger, old)
    assert named("only there") == job_of(ledger, only_there), "with its attempts"
    assert [named("only there", "another"), named("none"), named("bas"), named("BASE"), named("%")] == [None] * 5


def test_ahead_of_a_job_are_those_that_go_before_it(ledger: Ledger) -> None:
    jobs = [ledger.add_job(new_job(f"job{number}")) for number in range(5)]
    ledger.open_loop(STUDY, LOOP + 1, {})
    elsewhere = ledger.add_job(new_job("elsewhere", loop=LOOP + 1))
    ledger.finish_attempt(run_attempt(ledger, jobs[0]), ending(Outcome.FAILED))
    ledger.requeue(jobs[0], not_before=1_700_001_000.0)
    run_attempt(ledger, jobs[1])
    queue = ledger.reading.snapshot(STUDY, LOOP, 9).queue
    assert [job.id for job in queue] == [jobs[2], jobs[3], jobs[4], jobs[0]]
    assert [ledger.reading.ahead_of(job) for job in queue] == [0, 1, 2, 3], "a back-off goes last"
    assert ledger.reading.ahead_of(job_of(ledger, elsewhere)) == 0, "a queue is of one loop"


def test_the_children_of_a_job_come_in_launch_order(ledger: Ledger) -> None:
    base, other = ledger.add_job(new_job("base")), ledger.add_job(new_job("other"))
    children = [
        ledger.add_job(new_job(name, round=2, origin=Origin(parent=parent)))
        for name, parent in (("z", base), ("of the other", other), ("a", base))
    ]
    ledger.open_loop(STUDY, LOOP + 1, {})
    ledger.add_job(new_job("later", loop=LOOP + 1, origin=Origin(parent=base)))
    run_attempt(ledger, children[2])
    assert ledger.reading.children_of(job_of(ledger, base)) == (
        job_of(ledger, children[0]),
        job_of(ledger, children[2]),
    )
    assert ledger.reading.children_of(job_of(ledger, children[0])) == ()
