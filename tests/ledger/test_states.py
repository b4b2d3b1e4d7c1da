"""Any sequence of calls: jobs follow the state machine, and what is counted is what is there."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.job import AttemptId, JobId, JobState, Outcome
from tests.ledger.make import HANDLE, LOOP, STUDY, Ticks, ending, new_attempt, new_job, open_ledger, open_study

OPEN = (JobState.STARTING, JobState.RUNNING)


class Jobs(RuleBasedStateMachine):
    """A model of jobs beside a real ledger: both must agree on what is allowed and on what is."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "ledger.sqlite3"
        self.ledger = open_study(self.file)
        self.state: dict[JobId, JobState] = {}
        self.outcome: dict[JobId, Outcome | None] = {}
        self.slot: dict[JobId, int] = {}
        self.attempt: dict[JobId, AttemptId] = {}
        self.clock = Ticks()

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def _tried(self, allowed: bool, call: object, *values: object) -> object:
        """The call's answer when the model allows it; else it must have been refused."""
        try:
            answer = call(*values)  # type: ignore[operator] # a bound method of the ledger
        except RefusedError:
            assert not allowed
            return None
        assert allowed
        return answer

    @rule(target=jobs, round=st.integers(1, 3))
    def add(self, round: int) -> JobId:
        job = self.ledger.add_job(new_job(f"job{len(self.state)}", round))
        self.state[job], self.outcome[job] = JobState.QUEUED, None
        return job

    @rule(job=jobs, slot=st.integers(0, 1))
    def start(self, job: JobId, slot: int) -> None:
        free = all(self.slot[each] != slot for each, state in self.state.items() if state in OPEN)
        allowed = self.state[job] is JobState.QUEUED and free
        attempt = self._tried(allowed, self.ledger.start_attempt, new_attempt(job, slot))
        if isinstance(attempt, int):
            self.state[job], self.slot[job], self.attempt[job] = JobState.STARTING, slot, AttemptId(attempt)

    @rule(job=jobs)
    def run(self, job: JobId) -> None:
        allowed = self.state[job] is JobState.STARTING
        self._tried(allowed, self.ledger.mark_running, self.attempt.get(job, AttemptId(0)), HANDLE, self.clock())
        if allowed:
            self.state[job] = JobState.RUNNING

    @rule(job=jobs, outcome=st.sampled_from(Outcome))
    def finish(self, job: JobId, outcome: Outcome) -> None:
        allowed = self.state[job] in OPEN
        self._tried(allowed, self.ledger.finish_attempt, self.attempt.get(job, AttemptId(0)), ending(outcome))
        if allowed:
            self.state[job], self.outcome[job] = JobState.DONE, outcome

    @rule(job=jobs)
    def requeue(self, job: JobId) -> None:
        allowed = self.state[job] is JobState.DONE and self.outcome[job] is not Outcome.SUCCEEDED
        self._tried(allowed, self.ledger.requeue, job, self.clock())
        if allowed:
            self.state[job], self.outcome[job] = JobState.QUEUED, None

    @rule(job=jobs)
    def cancel(self, job: JobId) -> None:
        allowed = self.state[job] is JobState.QUEUED
        self._tried(allowed, self.ledger.cancel_job, job, "not wanted")
        if allowed:
            self.state[job], self.outcome[job] = JobState.DONE, Outcome.CANCELLED

    @rule(target=jobs)
    def open_again(self) -> object:
        self.ledger.close()
        self.ledger = open_ledger(self.file)
        return multiple()

    @invariant()
    def agrees(self) -> None:
        found = self.ledger.reading.history(STUDY).jobs
        assert {job.id: (job.state, job.outcome) for job in found} == {
            job: (self.state[job], self.outcome[job]) for job in self.state
        }
        for job in found:
            ends = [attempt.ended_at is None for attempt in job.attempts]
            assert ends.count(True) == (job.state in OPEN)
            assert not any(ends[:-1])

    @invariant()
    def counts_what_is_there(self) -> None:
        states = list(self.state.values())
        seen = self.ledger.reading.snapshot(STUDY, LOOP, head=100)
        assert {job.id for job in seen.active} == {job for job, state in self.state.items() if state in OPEN}
        assert {job.id for job in seen.queue} == {job for job, state in self.state.items() if state is JobState.QUEUED}
        assert (seen.queued, seen.done) == (states.count(JobState.QUEUED), states.count(JobState.DONE))


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
