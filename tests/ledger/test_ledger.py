"""The ledger's writes and what is read back, on real files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import Job, JobId, JobState, Origin, Outcome
from auto_loop.domain.proposal import Proposal, Silence, Verdict
from auto_loop.domain.study import RoundState
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from tests.ledger.make import (
    HANDLE,
    LOOP,
    STUDY,
    ending,
    event,
    new_attempt,
    new_job,
    open_ledger,
    open_study,
    run_attempt,
    summary,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_study(tmp_path / "outputs" / "ledger.sqlite3")


def job_of(ledger: Ledger, job: JobId) -> Job:
    found = ledger.reading.job(job)
    assert found is not None
    return found


def test_a_job_from_queue_to_history(ledger: Ledger) -> None:
    origin = Origin(
        parent_cfg="base.json", proposer="rules", rule="mass", reason="dead", changes=("a@set=1",), notes=("n",)
    )
    job = ledger.add_job(new_job("base", origin=origin))
    assert job_of(ledger, job).state is JobState.QUEUED
    attempt = ledger.start_attempt(new_attempt(job, slot=2))
    assert job_of(ledger, job).state is JobState.STARTING
    ledger.mark_running(attempt, HANDLE, 1_700_000_100.0)
    assert job_of(ledger, job).state is JobState.RUNNING
    ledger.finish_attempt(attempt, ending(), summary())

    done = ledger.reading.history(STUDY).jobs[0]
    asked, given = new_job("base", origin=origin), new_attempt(job, slot=2)
    assert (done.study, done.loop, done.round, done.position, done.name) == (STUDY, LOOP, 1, 1, "base")
    assert (done.cfg_file, done.config, done.output_dir) == (asked.cfg_file, asked.config, asked.output_dir)
    assert (done.origin, done.state, done.outcome) == (origin, JobState.DONE, Outcome.SUCCEEDED)
    last = done.last_attempt
    assert last is not None
    assert (last.id, last.job, last.number, last.slot, last.gpus) == (attempt, job, 1, 2, ("GPU-2",))
    assert (last.token, last.command, last.log_file) == (given.token, given.command, given.log_file)
    assert (last.output_dir, last.claim_file, last.exit_file) == (given.output_dir, given.claim_file, given.exit_file)
    assert (last.handle, last.started_at, last.ended_at) == (HANDLE, 1_700_000_100.0, 1_700_000_900.0)
    assert (last.outcome, last.returncode, last.cause, last.log_tail) == (Outcome.SUCCEEDED, 0, "", "step 500\n")
    assert ledger.reading.request_of(attempt) == given.request


def test_a_summary_comes_back_with_its_job_s_config_outcome_and_log(ledger: Ledger) -> None:
    job = ledger.add_job(new_job("base"))
    ledger.finish_attempt(run_attempt(ledger, job), ending(), summary())
    expected = replace(summary(), config=new_job("base").config, outcome=Outcome.SUCCEEDED, log_tail="step 500\n")
    assert ledger.reading.summary(job) == expected
    assert ledger.reading.history(STUDY).summaries == {job: expected}


def test_a_second_attempt_replaces_the_outcome_and_the_summary(ledger: Ledger) -> None:
    job = ledger.add_job(new_job("base"))
    ledger.finish_attempt(run_attempt(ledger, job), ending(Outcome.FAILED), summary("first"))
    ledger.requeue(job, not_before=1_700_001_000.0)
    waiting = job_of(ledger, job)
    assert (waiting.state, waiting.outcome, waiting.not_before) == (JobState.QUEUED, None, 1_700_001_000.0)
    assert ledger.reading.summary(job) is None
    ledger.finish_attempt(run_attempt(ledger, job), ending(), summary("second"))
    done = job_of(ledger, job)
    assert [attempt.number for attempt in done.attempts] == [1, 2]
    assert done.outcome is Outcome.SUCCEEDED
    found = ledger.reading.summary(job)
    assert found is not None
    assert found.run_dir == "outputs/train/second"


def test_half_a_character_in_a_log_or_config_harms_nothing(ledger: Ledger) -> None:
    config = Config.of({"name": "\ud800", "other": "é\0"})
    job = ledger.add_job(replace(new_job("base"), config=config))
    ledger.finish_attempt(run_attempt(ledger, job), replace(ending(), log_tail="loss \udcff 0.1\0é\n"))
    done = job_of(ledger, job)
    assert done.config.data() == config.data()
    assert done.attempts[0].log_tail == "loss \\udcff 0.1\0é\n"


def test_a_cancelled_job_says_why(ledger: Ledger) -> None:
    job = ledger.add_job(new_job("base"))
    ledger.cancel_job(job, "the loop was stopped")
    cancelled = job_of(ledger, job)
    assert (cancelled.state, cancelled.outcome, cancelled.cause) == (
        JobState.DONE,
        Outcome.CANCELLED,
        "the loop was stopped",
    )


def test_a_snapshot_holds_what_is_open_and_the_head_of_the_queue(ledger: Ledger) -> None:
    jobs = [ledger.add_job(new_job(f"job{number}")) for number in range(6)]
    ledger.finish_attempt(run_attempt(ledger, jobs[0]), ending(Outcome.FAILED))
    ledger.requeue(jobs[0], not_before=1_700_001_000.0)
    ledger.finish_attempt(run_attempt(ledger, jobs[1]), ending())
    run_attempt(ledger, jobs[2], slot=0)
    ledger.start_attempt(new_attempt(jobs[3], slot=1))
    request = ledger.requests.add(STUDY, "stop", {"job": 3})

    seen = ledger.reading.snapshot(STUDY, LOOP, head=2)
    assert [(job.id, job.state) for job in seen.active] == [(jobs[2], JobState.RUNNING), (jobs[3], JobState.STARTING)]
    assert [job.attempts[-1].slot for job in seen.active] == [0, 1]
    assert [job.id for job in seen.queue] == [jobs[4], jobs[5]], "a back-off stands behind what may start now"
    assert (seen.round, seen.queued, seen.done) == (1, 3, 1)
    assert [(each.id, each.kind, each.payload) for each in seen.requests] == [(request, "stop", {"job": 3})]
    whole = ledger.reading.snapshot(STUDY, LOOP, head=9)
    assert [job.id for job in whole.queue] == [jobs[4], jobs[5], jobs[0]]
    assert len(whole.queue[-1].attempts) == 1


def test_rounds_count_their_own_jobs(ledger: Ledger) -> None:
    first = ledger.add_job(new_job("base", round=1))
    ledger.finish_attempt(run_attempt(ledger, first), ending())
    child = ledger.add_job(new_job("child", round=2, origin=Origin(parent=first)))
    states = ledger.reading.rounds(STUDY, LOOP)
    assert states == (
        RoundState(round=1, queued=0, active=0, done=1),
        RoundState(round=2, queued=1, active=0, done=0),
    )
    assert [state.over for state in states] == [True, False]
    assert [job.id for job in ledger.reading.jobs_of_round(STUDY, LOOP, 2)] == [child]
    assert ledger.reading.jobs_of_round("another", LOOP, 2) == ()


def test_proposals_and_silences_come_back_as_they_were(ledger: Ledger) -> None:
    parent = ledger.add_job(new_job("base"))
    child = ledger.add_job(new_job("child", round=2))
    proposal = Proposal(
        changes={"ot.reg@mul": 2.0, "features.*.weight": None, "name": "é\n'"},
        reason="mass is dead",
        rule="mass_dead",
        priority=-3,
        group="mass",
        evidence={"ot_pi_sum": 1e-21, "all": [1, True, None]},
    )
    accepted = ProposalRecord(
        loop=LOOP,
        round=1,
        parent=parent,
        proposal=proposal,
        verdict=Verdict.ACCEPTED,
        edits=("ot.reg@mul=2.0",),
        child=child,
    )
    refused = replace(accepted, verdict=Verdict.REFUSED, child=None, edits=(), reasons=("off the list", "twice"))
    silence = SilenceRecord(
        loop=LOOP, round=1, silence=Silence(parent=parent, cause="no rule fired", detail="l1 3 > 2")
    )
    ledger.record_proposal(accepted)
    ledger.record_proposal(refused)
    ledger.record_silence(silence)
    history = ledger.reading.history(STUDY)
    assert history.proposals == (replace(accepted, id=1), replace(refused, id=2))
    assert history.silences == (silence,)


def test_a_refused_proposal_has_no_child_and_a_silence_is_said_once(ledger: Ledger) -> None:
    parent = ledger.add_job(new_job("base"))
    record = ProposalRecord(
        loop=LOOP,
        round=1,
        parent=parent,
        proposal=Proposal(changes={}, reason=""),
        verdict=Verdict.REFUSED,
        child=parent,
    )
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.record_proposal(record)
    silence = SilenceRecord(loop=LOOP, round=1, silence=Silence(parent=parent, cause="refused", detail=""))
    ledger.record_silence(silence)
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.record_silence(silence)


def test_events_are_read_from_where_one_left_off(ledger: Ledger) -> None:
    job = ledger.add_job(new_job("base"))
    written = [event("job started", job), event("job ended", job), event("round decided")]
    for each in written:
        ledger.record_event(each)
    first = ledger.reading.events(LOOP, count=2)
    assert [each for _, each in first] == written[:2]
    assert [each for _, each in ledger.reading.events(LOOP, after=first[-1][0])] == written[2:]


def test_an_origin_is_remembered_by_fingerprint_and_the_newest_counts(ledger: Ledger) -> None:
    config = new_job("base").config
    assert ledger.origin_of(config.fingerprint) is None
    ledger.remember_origin(config.fingerprint, Origin(reason="first"))
    newest = Origin(parent_cfg="base.json", reason="second", changes=("a@mul=2",))
    ledger.remember_origin(config.fingerprint, newest)
    assert ledger.origin_of(config.fingerprint) == newest
    ledger.remember_origin(config.fingerprint, replace(newest, reason=""))
    assert ledger.origin_of(config.fingerprint) == newest, "made again without a word: the reason is still the one"
    ledger.remember_origin(config.fingerprint, Origin(changes=("a@set=2",)))
    assert ledger.origin_of(config.fingerprint) == Origin(changes=("a@set=2",))


def test_loops_end_once_with_a_reason(ledger: Ledger) -> None:
    assert ledger.last_loop_number() == LOOP
    unfinished = ledger.unfinished_loop(STUDY)
    assert unfinished is not None
    assert (unfinished.number, unfinished.flags, unfinished.end_reason) == (LOOP, {"rounds": 3, "decide": True}, "")
    ledger.close_loop(STUDY, LOOP, "rounds done")
    assert ledger.unfinished_loop(STUDY) is None
    closed = ledger.reading.loop(STUDY, LOOP)
    assert closed is not None
    assert closed.end_reason == "rounds done"
    assert closed.ended_at is not None
    with pytest.raises(RefusedError, match="no unfinished loop"):
        ledger.close_loop(STUDY, LOOP, "again")
    with pytest.raises(RefusedError, match="no open loop"):
        ledger.add_job(new_job("late"))


def test_a_loop_number_is_given_once_in_the_whole_ledger(ledger: Ledger) -> None:
    ledger.ensure_study("another", "default", "script")
    with pytest.raises(RefusedError, match="impossible state"):
        ledger.open_loop("another", LOOP, {})
    with pytest.raises(RefusedError, match="no study nobody"):
        ledger.open_loop("nobody", LOOP + 1, {})
    assert [loop.number for loop in ledger.reading.loops(STUDY)] == [LOOP]


def test_a_study_keeps_its_birth_and_takes_the_newest_pack(ledger: Ledger) -> None:
    before = ledger.reading.study(STUDY)
    again = ledger.ensure_study(STUDY, "mine.toml", "script")
    assert before is not None
    assert again == replace(before, pack="mine.toml", profile="script")
    assert [study.name for study in ledger.reading.studies()] == [STUDY]


def test_a_name_is_taken_once_in_a_loop_and_free_in_the_next(ledger: Ledger) -> None:
    ledger.add_job(new_job("base"))
    with pytest.raises(RefusedError, match=r"job\.loop, job\.name"):
        ledger.add_job(new_job("base"))
    ledger.open_loop(STUDY, LOOP + 1, {})
    ledger.add_job(new_job("base", loop=LOOP + 1))
    history = ledger.reading.history(STUDY)
    assert [(job.loop, job.position) for job in history.jobs] == [(LOOP, 1), (LOOP + 1, 1)]
    assert ledger.reading.tried(STUDY, LOOP) == (new_job("base").config.fingerprint,), "the same config is stored once"


def test_a_slot_holds_one_open_attempt(ledger: Ledger) -> None:
    first, second = ledger.add_job(new_job("a")), ledger.add_job(new_job("b"))
    attempt = run_attempt(ledger, first, slot=0)
    with pytest.raises(RefusedError, match=r"attempt\.slot"):
        ledger.start_attempt(new_attempt(second, slot=0))
    assert job_of(ledger, second).state is JobState.QUEUED, "a refused call writes nothing"
    with ledger.transaction():
        ledger.finish_attempt(attempt, ending())
        ledger.start_attempt(new_attempt(second, slot=0))
    assert job_of(ledger, second).state is JobState.STARTING


@pytest.mark.parametrize("state", list(JobState))
def test_every_call_refuses_a_job_in_a_wrong_state(ledger: Ledger, state: JobState) -> None:
    job, other = ledger.add_job(new_job("a")), ledger.add_job(new_job("b"))
    attempt = run_attempt(ledger, other, slot=1)
    ledger.finish_attempt(attempt, ending())
    if state is not JobState.QUEUED:
        attempt = ledger.start_attempt(new_attempt(job))
    if state in (JobState.RUNNING, JobState.DONE):
        ledger.mark_running(attempt, HANDLE, 1.0)
    if state is JobState.DONE:
        ledger.finish_attempt(attempt, ending())
    before = job_of(ledger, job)
    calls: list[tuple[set[JobState], Callable[[], object]]] = [
        ({JobState.QUEUED}, lambda: ledger.start_attempt(new_attempt(job, slot=3))),
        ({JobState.QUEUED}, lambda: ledger.cancel_job(job, "not wanted")),
        ({JobState.STARTING}, lambda: ledger.mark_running(attempt, HANDLE, 2.0)),
        ({JobState.STARTING, JobState.RUNNING}, lambda: ledger.finish_attempt(attempt, ending(Outcome.LOST))),
        (set(), lambda: ledger.requeue(job)),  # DONE allows it, but not after a success
    ]
    for allowed, call in calls:
        if state not in allowed:
            with pytest.raises(RefusedError):
                call()
    assert job_of(ledger, job) == before


def test_an_inner_failure_dooms_the_whole_transaction(ledger: Ledger) -> None:
    job = ledger.add_job(new_job("a"))

    def caught_in_between() -> None:
        with ledger.transaction():
            ledger.record_event(event("before"))
            with pytest.raises(RefusedError):
                ledger.requeue(job)

    with pytest.raises(RuntimeError, match="failed before"):
        caught_in_between()
    assert ledger.reading.events(LOOP) == ()
    ledger.record_event(event("after"))
    assert len(ledger.reading.events(LOOP)) == 1


def test_a_transaction_that_raises_writes_nothing(ledger: Ledger) -> None:
    def broken_off() -> None:
        with ledger.transaction():
            run_attempt(ledger, ledger.add_job(new_job("a")))
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert ledger.reading.history(STUDY).jobs == ()
    assert ledger.reading.snapshot(STUDY, LOOP, 5).queued == 0


def test_requests_are_answered_once(ledger: Ledger) -> None:
    first, second = ledger.requests.add(STUDY, "stop"), ledger.requests.add(STUDY, "propose", {"changes": {"a@mul": 2}})
    assert [each.id for each in ledger.requests.open(STUDY)] == [first, second]
    ledger.requests.answer(first, "stopped two jobs")
    assert [each.id for each in ledger.requests.open(STUDY)] == [second]
    answered = ledger.requests.get(first)
    assert answered is not None
    assert answered.answer == "stopped two jobs"
    assert answered.answered_at is not None
    with pytest.raises(RefusedError, match="has been answered"):
        ledger.requests.answer(first, "again")
    with pytest.raises(RefusedError, match="no study nobody"):
        ledger.requests.add("nobody", "stop")


def test_what_was_launched_and_what_is_open_in_the_study(ledger: Ledger) -> None:
    launched, queued = ledger.add_job(new_job("a")), ledger.add_job(new_job("b"))
    run_attempt(ledger, launched)
    assert set(ledger.reading.tried(STUDY, LOOP)) == {new_job("a").config.fingerprint, new_job("b").config.fingerprint}
    ledger.open_loop(STUDY, LOOP + 7, {})
    assert ledger.reading.tried(STUDY, LOOP + 7) == (new_job("a").config.fingerprint,), (
        "what only waits there was not tried"
    )
    assert [job.id for job in ledger.reading.open_jobs(STUDY)] == [launched], "of every loop, for who adopts them"
    assert queued not in {job.id for job in ledger.reading.open_jobs(STUDY)}


def test_an_unknown_study_or_loop_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(RefusedError, match=r"no study nobody .*there: act_ot"):
        ledger.reading.history("nobody")
    with pytest.raises(RefusedError, match="no loop 5"):
        ledger.reading.snapshot(STUDY, 5, 1)
    with pytest.raises(RefusedError, match="study another has no loop"):
        ledger.reading.snapshot("another", LOOP, 1)


def test_a_reader_of_its_own_sees_commits_and_can_write_nothing(tmp_path: Path, ledger: Ledger) -> None:
    reading = Reading.open(tmp_path / "outputs" / "ledger.sqlite3")
    ledger.add_job(new_job("a"))
    with ledger.transaction():
        ledger.add_job(new_job("b"))
        assert [job.name for job in reading.history(STUDY).jobs] == ["a"]
    assert [job.name for job in reading.history(STUDY).jobs] == ["a", "b"]
    with pytest.raises(RefusedError, match="cannot be written"):
        Ledger(reading._db, lambda: 0.0).add_job(new_job("c"))
    reading.close()


def test_the_ledger_opens_again_with_all_that_was_written(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    with open_study(file) as first:
        job = first.add_job(new_job("a"))
        run_attempt(first, job)
        before = first.reading.history(STUDY)
    with open_ledger(file) as second:
        assert second.reading.history(STUDY) == before
