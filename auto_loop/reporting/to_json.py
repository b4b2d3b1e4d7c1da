"""Reports as JSON: the file of all studies that other tools read. Every key of it is a promise."""

import json
import math
from collections.abc import Iterable

from auto_loop.domain.config import Json
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Verdict
from auto_loop.domain.summary import stats_to_json
from auto_loop.reporting.attempts import AttemptReport
from auto_loop.reporting.evidence_json import (
    cell_to_json,
    confirmation_to_json,
    diagnosed_to_json,
    foreseen_to_json,
    noise_to_json,
    rules_to_json,
    warned_to_json,
)
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.told import LoopReport, Report, RoundReport

SCHEMA = 1
# Jobs of all studies up to which the text is laid out to be read by eye: that takes ten times as long, and beyond it
# nobody reads a file of ten million characters.
READ_BY_EYE = 1000


def to_json(reports: Iterable[Report]) -> str:
    """The studies of `reports` as one JSON text; rounds from the oldest loop to the newest."""
    found = list(reports)
    studies: dict[str, Json] = {each.study.name: _study(each) for each in found}
    by_eye = sum(len(each.known) for each in found) <= READ_BY_EYE
    text = _dumped({"schema": SCHEMA, "studies": studies}, 2 if by_eye else None)
    return text.encode("utf-8", "replace").decode() + "\n"


def _dumped(whole: Json, indent: int | None) -> str:
    try:
        return json.dumps(whole, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:  # a number that is none: rare, and only then is everything copied
        return json.dumps(_finite(whole), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Json) -> Json:
    """`value` with null for every nan and infinity, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _study(report: Report) -> dict[str, Json]:
    oldest_first = report.loops[::-1]
    return {
        "pack": report.study.pack,
        "profile": report.study.profile,
        "main_metric": report.lens.main_metric,
        "loops": [_loop(each) for each in oldest_first],
        "rounds": [_round(report, each) for loop in oldest_first for each in loop.rounds],
        "confirmations": [confirmation_to_json(one) for one in report.confirmations],
        **rules_to_json(report),
    }


def _loop(one: LoopReport) -> dict[str, Json]:
    loop = one.loop
    return {
        "loop": loop.number,
        "started_at": loop.started_at,
        "ended_at": loop.ended_at,
        "end_reason": loop.end_reason,
        "noise_floor": noise_to_json(one.noise, one.noise_of),
        "warnings": [warned_to_json(each) for each in one.warned],
    }


def _round(report: Report, each: RoundReport) -> dict[str, Json]:
    accepted = [record for record in each.proposals if record.verdict is Verdict.ACCEPTED]
    waiting = [record for record in each.proposals if record.verdict is Verdict.WAITING]
    refused = [record for record in each.proposals if record.verdict in (Verdict.REFUSED, Verdict.NO_PLACE)]
    return {
        "round": each.number,
        "loop": each.loop,
        "jobs": [_job(job) for job in each.jobs],
        "proposals": [{**_proposal(report, record), "child": _cfg(report, record.child)} for record in accepted],
        "refusals": [
            {**_proposal(report, record), "verdict": record.verdict.value, "reasons": list(record.reasons)}
            for record in refused
        ],
        "silences": [_silence(report, record) for record in each.silences],
        "waiting": [{**_proposal(report, record), "proposal": record.id} for record in waiting],
        "diagnoses": [diagnosed_to_json(one) for one in each.diagnosed],
        "cells": [cell_to_json(one) for one in each.cells],
        "confirmation": confirmation_to_json(each.confirmation) if each.confirmation else None,
    }


def _job(job: JobReport) -> dict[str, Json]:
    return {
        "cfg": job.cfg,
        "parent": job.parent_cfg or None,
        "reason": job.reason,
        "changes": list(job.changes),
        "output_dir": job.output_dir,
        "log": job.log,
        "wandb_url": job.wandb_url,
        "outcome": job.outcome.value if job.outcome else None,
        "duration_s": round(job.duration_s, 3) if job.duration_s is not None else None,
        "metrics": {name: stats_to_json(stats) for name, stats in sorted(job.metrics.items())},
        "job": job.id,
        "name": job.name,
        "state": job.state.value,
        "attempts": job.attempts,
        "cause": job.cause,
        "failure": job.failure.value if job.failure else None,
        "remedy_of": job.remedy_of,
        "attempt_list": [_attempt(one) for one in job.tries],
        "seed": job.seed,
        "cell": job.cell,
        "kind": _kind(job),
        "predictions": [foreseen_to_json(one) for one in job.foreseen],
        "fork_of": job.fork_of,
        "warm_from": job.warm_from,
    }


def _kind(job: JobReport) -> str:
    """What it was run for: a config's first run, the same under another seed, or a confirmation on a fresh one."""
    return "confirmation" if job.fresh else "repeat" if job.repeat else "first"


def _attempt(one: AttemptReport) -> dict[str, Json]:
    """One attempt. One with the outcome "cancelled" never ran and is not counted in `attempts`."""
    stop = one.stop
    return {
        "attempt": one.number,
        "outcome": one.outcome.value if one.outcome else None,
        "failure": one.failure.value if one.failure else None,
        "cause": one.cause,
        "stop": {"at": stop.at, "by": stop.cause.value, "text": stop.text} if stop else None,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "output_dir": one.output_dir,
        "log": one.log,
        "resumed": one.resumed,
    }


def _proposal(report: Report, record: ProposalRecord) -> dict[str, Json]:
    return {
        "parent": _cfg(report, record.parent),
        "proposer": record.proposal.proposer,
        "rule": record.proposal.rule,
        "reason": record.proposal.reason,
        "changes": list(record.edits),
        "evidence": dict(record.proposal.evidence),
    }


def _silence(report: Report, record: SilenceRecord) -> dict[str, Json]:
    return {
        "parent": _cfg(report, record.silence.parent),
        "cause": record.silence.cause,
        "detail": record.silence.detail,
    }


def _cfg(report: Report, number: JobId | None) -> str | None:
    """The config file of a job, by which the file's readers know it."""
    job = report.job(number) if number is not None else None
    return job.cfg if job else None
