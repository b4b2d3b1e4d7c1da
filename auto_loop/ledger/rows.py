"""Rows to domain values, and the columns that several rows share."""

import json
from collections.abc import Iterable, Mapping
from sqlite3 import Row
from typing import Any

from auto_loop.domain.config import Config, Json
from auto_loop.domain.event import Event
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import (
    Attempt,
    AttemptId,
    Handle,
    Job,
    JobId,
    JobState,
    Origin,
    Outcome,
    StopCause,
    StopIntent,
)
from auto_loop.domain.request import Request, RequestId
from auto_loop.domain.series import Source
from auto_loop.domain.slot import SlotState
from auto_loop.domain.study import Loop, RoundState, Study, Supervisor
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.ledger.failures import sound

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SOURCES = {source.value: source for source in Source}


def text_of(value: object) -> str:
    """A value as compact JSON, the form in which lists and mappings lie in a column."""
    return _ENCODER.encode(value)


def origin_columns(origin: Origin) -> dict[str, str | int | None]:
    """The columns of an origin, in a job's row and in its own."""
    return {
        "parent": origin.parent,
        "parent_cfg": origin.parent_cfg,
        "proposer": origin.proposer,
        "rule": origin.rule,
        "reason": origin.reason,
        "changes": text_of(origin.changes),
        "notes": text_of(origin.notes),
    }


def metrics_text(metrics: Mapping[str, MetricStats]) -> str:
    """A summary's metrics as they lie in their column: lists, for a history reads a hundred thousand of them.

    A new statistic goes to the end of the list, and its absence in older rows means that it is not known.
    """
    return text_of(
        {
            name: [s.first, s.last, s.best, s.best_step, s.delta, s.pct, s.n, s.nan_count, s.source]
            for name, s in metrics.items()
        }
    )


@sound
def metrics_of(text: str) -> dict[str, MetricStats]:
    """A summary's metrics from their column."""
    metrics: dict[str, list[Any]] = json.loads(text)
    return {
        name: MetricStats(
            first=stats[0],
            last=stats[1],
            best=stats[2],
            best_step=stats[3],
            delta=stats[4],
            pct=stats[5],
            n=stats[6],
            nan_count=stats[7],
            source=_SOURCES[stats[8]],
        )
        for name, stats in metrics.items()
    }


@sound
def study_of(row: Row) -> Study:
    """A row of `study`."""
    return Study(name=row["name"], pack=row["pack"], profile=row["profile"], created_at=row["created_at"])


@sound
def loop_of(row: Row) -> Loop:
    """A row of `loop`."""
    return Loop(
        study=row["study"],
        number=row["number"],
        flags=mapping_of(row["flags"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        end_reason=row["end_reason"],
    )


@sound
def round_of(row: Row) -> RoundState:
    """A row of counts; a round without a job has none of each."""
    return RoundState(round=row["round"], queued=row["queued"] or 0, active=row["active"] or 0, done=row["done"] or 0)


@sound
def job_of(row: Row, attempts: Iterable[Attempt]) -> Job:
    """A row of `job_whole` with the job's attempts, in their order."""
    outcome = row["outcome"]
    return Job(
        id=JobId(row["id"]),
        study=row["study"],
        loop=row["loop"],
        round=row["round"],
        position=row["position"],
        name=row["name"],
        cfg_file=row["cfg_file"],
        config=Config(row["text"]),
        output_dir=row["output_dir"],
        origin=origin_of(row),
        state=JobState(row["state"]),
        outcome=None if outcome is None else Outcome(outcome),
        attempts=tuple(attempts),
        not_before=row["not_before"],
        cause=row["cause"],
        warm_from=None if row["warm_from"] is None else JobId(row["warm_from"]),
        ahead=bool(row["ahead"]),
    )


@sound
def origin_of(row: Row) -> Origin:
    """The origin in a row of `job` or `origin`."""
    parent = row["parent"]
    return Origin(
        parent=None if parent is None else JobId(parent),
        parent_cfg=row["parent_cfg"],
        proposer=row["proposer"],
        rule=row["rule"],
        reason=row["reason"],
        changes=texts_of(row["changes"]),
        notes=texts_of(row["notes"]),
    )


@sound
def attempt_of(row: Row) -> Attempt:
    """A row of `attempt`."""
    outcome = row["outcome"]
    return Attempt(
        id=AttemptId(row["id"]),
        job=JobId(row["job"]),
        number=row["number"],
        slot=row["slot"],
        gpus=texts_of(row["gpus"]),
        token=row["token"],
        command=texts_of(row["command"]),
        output_dir=row["output_dir"],
        log_file=row["log_file"],
        claim_file=row["claim_file"],
        exit_file=row["exit_file"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        handle=_handle_of(row),
        stop=_stop_of(row),
        outcome=None if outcome is None else Outcome(outcome),
        failure=Failure(row["failure"]) if row["failure"] else None,
        returncode=row["returncode"],
        cause=row["cause"],
        log_tail=row["log_tail"],
    )


def _handle_of(row: Row) -> Handle | None:
    if row["launcher"] is None:
        return None
    return Handle(
        launcher=row["launcher"],
        pid=row["pid"],
        start_time=row["start_time"],
        boot_id=row["boot_id"],
        reference=row["reference"],
    )


def _stop_of(row: Row) -> StopIntent | None:
    if row["stop_at"] is None:
        return None
    return StopIntent(
        at=row["stop_at"],
        cause=StopCause(row["stop_cause"]),
        text=row["stop_text"],
        grace_s=row["stop_grace"],
        sent=bool(row["stop_sent"]),
    )


@sound
def supervisor_of(row: Row) -> Supervisor:
    """A row of `supervisor`."""
    return Supervisor(
        study=row["study"],
        host=row["host"],
        boot_id=row["boot_id"],
        pid=row["pid"],
        start_time=row["start_time"],
        since=row["since"],
        ended_at=row["ended_at"],
    )


@sound
def slot_of(row: Row) -> SlotState:
    """A row of `slot`."""
    return SlotState(
        index=row["slot"],
        place=row["place"],
        gpus=texts_of(row["gpus"]),
        numbers=tuple(json.loads(row["numbers"])),
        cause=row["cause"],
        since=row["since"],
    )


@sound
def summary_of(row: Row, job: Job) -> Summary:
    """A row of `summary`, with the config, outcome and log tail that the job itself holds."""
    attempt = next(attempt for attempt in job.attempts if attempt.id == row["attempt"])
    return Summary(
        run_dir=row["run_dir"],
        config=job.config,
        config_file=row["config_file"],
        outcome=attempt.outcome,
        wandb_url=row["wandb_url"],
        metrics=metrics_of(row["metrics"]),
        log_tail=attempt.log_tail,
        notes=texts_of(row["notes"]),
    )


@sound
def event_of(row: Row) -> Event:
    """A row of `event` with its study."""
    job = row["job"]
    return Event(
        kind=row["kind"],
        at=row["at"],
        study=row["study"],
        loop=row["loop"],
        job=None if job is None else JobId(job),
        detail=mapping_of(row["detail"]),
    )


@sound
def request_of(row: Row) -> Request:
    """A row of `request`."""
    return Request(
        id=RequestId(row["id"]),
        study=row["study"],
        kind=row["kind"],
        payload=mapping_of(row["payload"]),
        created_at=row["created_at"],
        answered_at=row["answered_at"],
        answer=row["answer"],
    )


def texts_of(text: str) -> tuple[str, ...]:
    """A list of texts from its column."""
    return () if text == "[]" else tuple(json.loads(text))


@sound
def mapping_of(text: str) -> Mapping[str, Json]:
    """A mapping from its column."""
    loaded: dict[str, Json] = json.loads(text)
    if not isinstance(loaded, dict):
        raise TypeError(f"no mapping: {text[:40]}")
    return loaded
