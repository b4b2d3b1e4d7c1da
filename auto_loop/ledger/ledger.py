"""The ledger's writes: every transition durable before anybody acts on it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from auto_loop.domain.config import Json
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.event import Event
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import AttemptId, Ending, Handle, JobId, NewAttempt, NewJob, Origin, StopIntent
from auto_loop.domain.slot import SlotState
from auto_loop.domain.study import Loop, Study, Supervisor
from auto_loop.domain.summary import Summary
from auto_loop.ledger.connection import Clock, CommitHook, Connection, no_fault
from auto_loop.ledger.decisions import Decisions
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from auto_loop.ledger.rows import metrics_text, origin_columns, text_of


class Ledger:
    """One process's hand on the truth. Every call is one durable commit, or a part of the `transaction` around it.

    `reading` sees what this ledger has written, uncommitted writes included; `requests` are the rows that views write;
    `decisions` are what was asked of the rules, and what came of it.
    A call that would make an impossible state is a RefusedError and writes nothing.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._db = connection
        self._clock = clock
        self.reading = Reading(connection)
        self.requests = Requests(connection, clock)
        self.decisions = Decisions(connection)

    @classmethod
    def open(cls, file: Path, clock: Clock, fault: CommitHook = no_fault) -> Self:
        """The ledger in `file`, made when it is not there. `clock` gives unix seconds.

        `fault` is called with "before commit" and "after commit" at each durable commit: crash tests end the process
        there.
        """
        return cls(Connection.open(file, create=True, fault=fault), clock)

    @property
    def note(self) -> str:
        """What the user should hear once about where the ledger lies; empty when all is well."""
        return self._db.note

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> AbstractContextManager[None]:
        """`with ledger.transaction():` all calls inside are one durable commit, or, when one raises, nothing."""
        return self._db.transaction()

    def ensure_study(self, name: str, pack: str, profile: str) -> Study:
        """The study of that name, made if it is new; pack and profile become the given ones."""
        with self.transaction():
            self._db.run("ensure_study", name=name, pack=pack, profile=profile, created_at=self._clock())
            study = self.reading.study(name)
        assert study is not None
        return study

    def open_loop(self, study: str, number: int, flags: Mapping[str, Json]) -> Loop:
        """Begin a loop. Its number must be new in the whole ledger, for its folder bears it."""
        with self.transaction():
            if self.reading.study(study) is None:
                raise RefusedError(f"there is no study {study}")
            self._db.run("open_loop", study=study, number=number, flags=text_of(dict(flags)), started_at=self._clock())
            loop = self.reading.loop(study, number)
        assert loop is not None
        return loop

    def close_loop(self, study: str, number: int, reason: str) -> None:
        """End a loop for good, with the reason in words."""
        with self.transaction():
            if not self._db.run("close_loop", study=study, number=number, reason=reason, ended_at=self._clock()):
                raise RefusedError(f"study {study} has no unfinished loop {number}")

    def unfinished_loop(self, study: str) -> Loop | None:
        """The study's newest loop that has not ended."""
        return self.reading.unfinished_loop(study)

    def last_loop_number(self) -> int:
        """The highest number of any loop of any study, 0 without one."""
        return self.reading.last_loop_number()

    def add_job(self, job: NewJob) -> JobId:
        """Queue a job behind the loop's others. RefusedError for a name that the loop has, or a closed loop."""
        with self.transaction():
            fingerprint = job.config.fingerprint
            self._db.run("add_config", fingerprint=fingerprint, text=job.config.text)
            row = self._db.row(
                "add_job",
                study=job.study,
                loop=job.loop,
                round=job.round,
                name=job.name,
                cfg_file=job.cfg_file,
                config=fingerprint,
                output_dir=job.output_dir,
                warm_from=job.warm_from,
                ahead=int(job.ahead),
                **origin_columns(job.origin),
            )
            if row is None:
                raise RefusedError(f"study {job.study} has no open loop {job.loop} for job {job.name}")
        return JobId(row["id"])

    def start_attempt(self, attempt: NewAttempt) -> AttemptId:
        """Write down the intent to start a process: job QUEUED → STARTING. Launch only when this has returned.

        RefusedError when the job is not queued, or its slot is held by an attempt that has not ended.
        """
        with self.transaction():
            if not self._db.run("job_starting", job=attempt.job):
                raise RefusedError(f"job {attempt.job} is not queued: it cannot be started")
            row = self._db.row(
                "start_attempt",
                job=attempt.job,
                slot=attempt.slot,
                gpus=text_of(attempt.gpus),
                token=attempt.token,
                command=text_of(attempt.command),
                output_dir=attempt.output_dir,
                log_file=attempt.log_file,
                claim_file=attempt.claim_file,
                exit_file=attempt.exit_file,
                request=text_of(dict(attempt.request)),
                created_at=self._clock(),
            )
        assert row is not None
        return AttemptId(row["id"])

    def mark_running(self, attempt: AttemptId, handle: Handle, started_at: float) -> None:
        """Write down that the process runs, and what identifies it: job STARTING → RUNNING."""
        with self.transaction():
            row = self._db.row(
                "mark_running",
                attempt=attempt,
                started_at=started_at,
                launcher=handle.launcher,
                pid=handle.pid,
                start_time=handle.start_time,
                boot_id=handle.boot_id,
                reference=handle.reference,
            )
            if row is None or not self._db.run("job_running", job=row["job"]):
                raise RefusedError(f"attempt {attempt} is not starting: it cannot be marked as running")

    def ask_to_stop(self, attempt: AttemptId, stop: StopIntent) -> None:
        """Write down that an attempt is to stop, before the first signal; a later intent takes the place of it."""
        with self.transaction():
            changed = self._db.run(
                "ask_to_stop", attempt=attempt, at=stop.at, cause=stop.cause, text=stop.text, grace=stop.grace_s
            )
            if not changed:
                raise RefusedError(f"attempt {attempt} is unknown or has ended: it cannot be stopped")

    def stop_sent(self, attempts: Iterable[AttemptId]) -> None:
        """Write down that attempts were sent their SIGTERM."""
        with self.transaction():
            for attempt in attempts:
                self._db.run("stop_sent", attempt=attempt)

    def finish_attempt(self, attempt: AttemptId, ending: Ending, summary: Summary | None = None) -> None:
        """Write down how an attempt ended: its job is DONE, unless `requeue` follows in the same transaction."""
        with self.transaction():
            row = self._db.row(
                "finish_attempt",
                attempt=attempt,
                ended_at=ending.ended_at,
                outcome=ending.outcome,
                returncode=ending.returncode,
                failure=ending.failure or "",
                cause=ending.cause,
                log_tail=ending.log_tail,
            )
            if row is None or not self._db.run("job_done", job=row["job"], outcome=ending.outcome):
                raise RefusedError(f"attempt {attempt} is unknown or has ended")
            if summary is not None:
                self.record_summary(attempt, summary)

    def record_summary(self, attempt: AttemptId, summary: Summary) -> None:
        """Keep what an attempt logged, in numbers; a later one for the same attempt takes its place."""
        with self.transaction():
            self._db.run(
                "record_summary",
                attempt=attempt,
                run_dir=summary.run_dir,
                config_file=summary.config_file,
                wandb_url=summary.wandb_url,
                metrics=metrics_text(summary.metrics),
                notes=text_of(summary.notes),
            )

    def requeue(self, job: JobId, not_before: float = 0.0) -> None:
        """Queue a job again whose attempt ended without success, to start no sooner than `not_before` (unix s)."""
        with self.transaction():
            if not self._db.run("job_requeued", job=job, not_before=not_before):
                raise RefusedError(f"job {job} has not ended without success: it cannot be queued again")

    def cancel_job(self, job: JobId, reason: str) -> None:
        """End a queued job that no process was started for: QUEUED → DONE, CANCELLED."""
        with self.transaction():
            if not self._db.run("job_cancelled", job=job, cause=reason):
                raise RefusedError(f"job {job} is not queued: it cannot be cancelled")

    def record_proposal(self, record: ProposalRecord) -> None:
        """Keep a proposal and what became of it."""
        proposal = record.proposal
        with self.transaction():
            self._db.run(
                "record_proposal",
                loop=record.loop,
                round=record.round,
                parent=record.parent,
                verdict=record.verdict,
                child=record.child,
                changes=text_of(dict(proposal.changes)),
                reason=proposal.reason,
                rule=proposal.rule,
                proposer=proposal.proposer,
                priority=proposal.priority,
                purpose=proposal.group,
                evidence=text_of(dict(proposal.evidence)),
                edits=text_of(record.edits),
                reasons=text_of(record.reasons),
                predictions=text_of(dict(record.predictions)),
                decision=record.decision,
            )

    def record_silence(self, record: SilenceRecord) -> None:
        """Keep why nothing was proposed after a job; once for each job and round."""
        silence = record.silence
        with self.transaction():
            self._db.run(
                "record_silence",
                loop=record.loop,
                round=record.round,
                parent=silence.parent,
                cause=silence.cause,
                detail=silence.detail,
            )

    def record_event(self, event: Event) -> None:
        """Keep what happened, for the views."""
        with self.transaction():
            self._db.run(
                "record_event",
                loop=event.loop,
                job=event.job,
                kind=event.kind,
                at=event.at,
                detail=text_of(dict(event.detail)),
            )

    def record_supervisor(self, supervisor: Supervisor) -> None:
        """Keep who drives a study; call it with the study's lease in hand."""
        with self.transaction():
            self._db.run(
                "ensure_supervisor",
                study=supervisor.study,
                host=supervisor.host,
                boot_id=supervisor.boot_id,
                pid=supervisor.pid,
                start_time=supervisor.start_time,
                since=supervisor.since,
            )

    def supervisor_left(self, study: str) -> None:
        """Keep that the study's supervisor left in good order."""
        with self.transaction():
            self._db.run("supervisor_left", study=study, ended_at=self._clock())

    def record_slots(self, loop: int, slots: Iterable[SlotState], *, anew: bool = False) -> None:
        """Keep how slots of a loop stand; `anew` when they are all of its slots, whatever it had before."""
        with self.transaction():
            if anew:
                self._db.run("drop_slots", loop=loop)
            for one in slots:
                self._db.run(
                    "record_slot",
                    loop=loop,
                    slot=one.index,
                    place=one.place,
                    gpus=text_of(one.gpus),
                    numbers=text_of(one.numbers),
                    cause=one.cause,
                    since=one.since,
                )

    def remember_origin(self, fingerprint: str, origin: Origin) -> None:
        """Remember why a config exists until a loop launches it; the newest origin of a config counts."""
        with self.transaction():
            self._db.run("remember_origin", fingerprint=fingerprint, **origin_columns(origin))

    def origin_of(self, fingerprint: str) -> Origin | None:
        """What was remembered of the config with this fingerprint."""
        return self.reading.origin_of(fingerprint)
