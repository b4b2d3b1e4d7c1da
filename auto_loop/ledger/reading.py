"""What is in the ledger, as domain values. Reads only: views have no more than this."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from sqlite3 import Row
from typing import NamedTuple, Self

from auto_loop.domain.config import Config, Json
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.event import Event
from auto_loop.domain.history import History
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, JobState, Origin, Outcome
from auto_loop.domain.slot import SlotState
from auto_loop.domain.snapshot import Snapshot
from auto_loop.domain.study import Loop, RoundState, Study, Supervisor
from auto_loop.domain.summary import Summary
from auto_loop.ledger import decision_rows, rows
from auto_loop.ledger.connection import Connection
from auto_loop.ledger.decisions import DecisionReading


class Launch(NamedTuple):
    """What a job was launched with: its config, by fingerprint; its loop, whose flags say the rest; and from where."""

    config: str
    loop: int
    warm_from: JobId | None


class First(NamedTuple):
    """The first job of a cell as a choice of others looks at it: its config and its parent's, by fingerprint, and the
    purpose of its proposal."""

    parent: JobId | None
    config: str
    parent_config: str | None
    purpose: str


class Reading:
    """The questions that can be asked of a ledger. Each answer is of one commit, whatever others write meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self.decisions = DecisionReading(connection)

    @classmethod
    def open(cls, file: Path) -> Self:
        """A reader of its own of the ledger in `file`; RefusedError when there is none."""
        connection = Connection.open(file, create=False)
        connection.only_read()
        return cls(connection)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def study(self, name: str) -> Study | None:
        """The study of that name."""
        row = self._db.row("study", name=name)
        return None if row is None else rows.study_of(row)

    def studies(self) -> tuple[Study, ...]:
        """Every study, oldest first."""
        return tuple(rows.study_of(row) for row in self._db.rows("studies"))

    def loop(self, study: str, number: int) -> Loop | None:
        """One loop of a study."""
        row = self._db.row("loop", study=study, number=number)
        return None if row is None else rows.loop_of(row)

    def loops(self, study: str) -> tuple[Loop, ...]:
        """The study's loops, oldest first."""
        return tuple(rows.loop_of(row) for row in self._db.rows("loops", study=study))

    def unfinished_loop(self, study: str) -> Loop | None:
        """The study's newest loop that has not ended: what `--resume` goes on with."""
        row = self._db.row("unfinished_loop", study=study)
        return None if row is None else rows.loop_of(row)

    def last_loop_number(self) -> int:
        """The highest number of any loop of any study, 0 without one."""
        row = self._db.row("last_loop_number")
        return (row["number"] or 0) if row is not None else 0

    def snapshot(self, study: str, loop: int, head: int) -> Snapshot:
        """The open part of a loop, with the first `head` queued jobs. RefusedError when there is no such loop.

        Its cost follows the open jobs and `head`, not the study's length.
        """
        with self._db.one_view():
            tally = self._db.row("tally", loop=loop)
            if tally is None or self.loop(study, loop) is None:
                raise RefusedError(f"study {study} has no loop {loop}")
            current = min(tally["decided"] + 1, tally["round"])
            return Snapshot(
                study=study,
                loop=loop,
                round=current,
                active=self._jobs(self._db.rows("active_jobs", loop=loop)),
                queue=self._jobs(self._db.rows("queue_head", loop=loop, head=head)),
                queued=tally["queued"],
                queued_in_round=self._queued_in(loop, current) if tally["queued"] else 0,
                waiting=self._waiting(loop),
                deepest=tally["round"],
                done=tally["done"],
                requests=tuple(rows.request_of(row) for row in self._db.rows("open_requests", study=study)),
            )

    def history(self, study: str) -> History:
        """The study whole. RefusedError when there is none of that name."""
        with self._db.one_view():
            found = self.study(study)
            if found is None:
                known = ", ".join(str(each.name) for each in self.studies()) or "none"
                raise RefusedError(f"there is no study {study} in {self._db.file} (there: {known})")
            jobs = self._jobs_of_study(study)
            return History(
                study=found,
                loops=self.loops(study),
                jobs=jobs,
                summaries=_summaries(self._db.rows("summaries_of_study", study=study), jobs),
                proposals=tuple(
                    decision_rows.proposal_of(row) for row in self._db.rows("proposals_of_study", study=study)
                ),
                silences=tuple(
                    decision_rows.silence_of(row) for row in self._db.rows("silences_of_study", study=study)
                ),
                decisions=self.decisions.of_study(study),
            )

    def job(self, job: JobId) -> Job | None:
        """One job with its attempts."""
        with self._db.one_view():
            row = self._db.row("job", job=job)
            return None if row is None else self._jobs([row])[0]

    def summary(self, job: JobId) -> Summary | None:
        """The summary of a job that is done, by its last attempt that left one."""
        with self._db.one_view():
            found = self.job(job)
            return None if found is None else _summaries(self._db.rows("summaries_of_job", job=job), [found]).get(job)

    def job_named(self, name: str, study: str | None = None) -> Job | None:
        """The job of that name in the newest loop that has one, of any study or of the given one."""
        with self._db.one_view():
            row = self._db.row("job_named", name=name, study=study)
            return None if row is None else self._jobs([row])[0]

    def ahead_of(self, job: Job) -> int:
        """How many queued jobs of its loop go before a queued job."""
        row = self._db.row(
            "ahead_of", loop=job.loop, not_before=job.not_before, ahead=int(job.ahead), position=job.position
        )
        return 0 if row is None else int(row["number"])

    def children_of(self, job: Job) -> tuple[Job, ...]:
        """The jobs of the same loop that were made of it, in launch order."""
        with self._db.one_view():
            return self._jobs(self._db.rows("children_of_job", loop=job.loop, job=job.id))

    def children_in_round(self, job: Job, round: int) -> tuple[Job, ...]:
        """Those of a round of the same loop; the cost follows the round, not the loop."""
        with self._db.one_view():
            return self._jobs(self._db.rows("children_in_round", loop=job.loop, round=round, job=job.id))

    def firsts_of_round(self, loop: int, round: int) -> tuple[First, ...]:
        """The first job of each cell of a round, in launch order; a remedied job stands in its parent's place."""
        found = self._db.rows("firsts_of_round", loop=loop, round=round)
        return tuple(First(row["parent"], row["config"], row["parent_config"], row["purpose"]) for row in found)

    def not_asked_about(self, loop: int) -> tuple[Job, ...]:
        """The jobs of a loop that are done, and of which nobody has asked the rules one by one, or said why not."""
        with self._db.one_view():
            return self._jobs(self._db.rows("not_asked_about", loop=loop))

    def is_read(self, attempt: AttemptId) -> bool:
        """Whether what an attempt logged is in the ledger."""
        return self._db.row("is_read", attempt=attempt) is not None

    def rounds_decided(self, loop: int) -> int:
        """How many rounds of a loop are decided."""
        row = self._db.row("tally", loop=loop)
        return 0 if row is None else int(row["decided"])

    def supervisor(self, study: str) -> Supervisor | None:
        """Who drives the study, or drove it last."""
        row = self._db.row("supervisor", study=study)
        return None if row is None else rows.supervisor_of(row)

    def slots(self, loop: int) -> tuple[SlotState, ...]:
        """The slots of a loop as its supervisor last saw them."""
        return tuple(rows.slot_of(row) for row in self._db.rows("slots", loop=loop))

    def jobs_of_round(self, study: str, loop: int, round: int) -> tuple[Job, ...]:
        """The round's jobs in launch order; none when the loop is not the study's."""
        with self._db.one_view():
            if self.loop(study, loop) is None:
                return ()
            return self._jobs(self._db.rows("jobs_of_round", loop=loop, round=round))

    def open_jobs(self, study: str) -> tuple[Job, ...]:
        """STARTING and RUNNING jobs in any loop of the study: what a new supervisor adopts."""
        with self._db.one_view():
            return self._jobs(self._db.rows("open_jobs_of_study", study=study))

    def unread_jobs(self, study: str) -> tuple[Job, ...]:
        """Jobs in any loop of the study that are done, but whose last attempt left no summary yet."""
        with self._db.one_view():
            return self._jobs(self._db.rows("unread_jobs_of_study", study=study))

    def outcomes(self, loop: int) -> dict[str, Outcome | None]:
        """How each job of a loop ended, by its name, in launch order; None for those that have not."""
        found = self._db.rows("outcomes_of_loop", loop=loop)
        return {row["name"]: Outcome(row["outcome"]) if row["outcome"] else None for row in found}

    def replaced(self, loop: int) -> frozenset[str]:
        """The names of a loop's jobs that failed, and whose place a remedied job has taken."""
        return frozenset(row["name"] for row in self._db.rows("replaced_in_loop", loop=loop))

    def rounds(self, study: str, loop: int) -> tuple[RoundState, ...]:
        """How far each round of a loop is, the first one first."""
        if self.loop(study, loop) is None:
            return ()
        return tuple(rows.round_of(row) for row in self._db.rows("rounds", loop=loop))

    def request_of(self, attempt: AttemptId) -> Mapping[str, Json]:
        """The launch request of an attempt as it was written before the launch; empty for an unknown one."""
        row = self._db.row("attempt_request", attempt=attempt)
        return {} if row is None else rows.mapping_of(row["request"])

    def events(self, loop: int, after: int = 0, count: int = 1000) -> tuple[tuple[int, Event], ...]:
        """A loop's events with their numbers, oldest first: at most `count` of those numbered above `after`."""
        found = self._db.rows("events", loop=loop, after=after, count=count)
        return tuple((row["id"], rows.event_of(row)) for row in found)

    def origin_of(self, fingerprint: str) -> Origin | None:
        """What was remembered of the config with this fingerprint."""
        row = self._db.row("origin_of", fingerprint=fingerprint)
        return None if row is None else rows.origin_of(row)

    def tried(self, study: str, loop: int) -> tuple[str, ...]:
        """The fingerprints of every different config that the study has run or runs, and that this loop will.

        Oldest first. What an earlier loop only queued, cancelled or lost was not tried.
        """
        return tuple(row["fingerprint"] for row in self._db.rows("configs_tried", study=study, loop=loop))

    def launches(self, study: str, loop: int) -> tuple[Launch, ...]:
        """Every different launch that the study has tried, as `tried` counts, and that this loop will; oldest first."""
        found = self._db.rows("launches_tried", study=study, loop=loop)
        return tuple(Launch(row["config"], row["loop"], row["warm_from"]) for row in found)

    def config_fingerprints(self, study: str) -> dict[JobId, str]:
        """Under which fingerprint each job's config is kept."""
        return {JobId(row["id"]): row["config"] for row in self._db.rows("configs_of_study", study=study)}

    def config(self, fingerprint: str) -> Config:
        """The config with this fingerprint; RefusedError when the ledger has none."""
        row = self._db.row("config", fingerprint=fingerprint)
        if row is None:
            raise RefusedError(f"there is no config {fingerprint} in {self._db.file}")
        return Config(row["text"])

    def _queued_in(self, loop: int, round: int) -> int:
        row = self._db.row("queued_in_round", loop=loop, round=round)
        return 0 if row is None else int(row["number"])

    def _waiting(self, loop: int) -> int:
        row = self._db.row("count_waiting", loop=loop)
        return 0 if row is None else int(row["number"])

    def _jobs(self, found: Iterable[Row]) -> tuple[Job, ...]:
        """Jobs with their attempts, one query a job: for the few that are open."""
        return tuple(
            rows.job_of(row, map(rows.attempt_of, self._db.rows("attempts_of_job", job=row["id"]))) for row in found
        )

    def _jobs_of_study(self, study: str) -> tuple[Job, ...]:
        attempts: defaultdict[int, list[Attempt]] = defaultdict(list)
        for row in self._db.rows("attempts_of_study", study=study):
            attempts[row["job"]].append(rows.attempt_of(row))
        return tuple(
            rows.job_of(row, attempts.get(row["id"], ())) for row in self._db.rows("jobs_of_study", study=study)
        )


def _summaries(found: Iterable[Row], jobs: Iterable[Job]) -> dict[JobId, Summary]:
    """Summaries of the jobs that are done; of several attempts the last one's."""
    last = {JobId(row["job"]): row for row in found}
    return {job.id: rows.summary_of(last[job.id], job) for job in jobs if job.state is JobState.DONE and job.id in last}
