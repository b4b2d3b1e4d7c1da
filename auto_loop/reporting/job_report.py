"""One job as the report tells it: how it went, what it logged, and how it came about. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.cell import is_repeat
from auto_loop.domain.config import Json
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, Attempt, Job, JobId, JobState, Outcome, StopCause
from auto_loop.domain.secrets import masked
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.reporting.attempts import AttemptReport, attempt_reports, began
from auto_loop.reporting.excerpt import excerpt
from auto_loop.reporting.foresight import Foreseen
from auto_loop.reporting.lens import Health, Lens
from auto_loop.reporting.outside import all_said, near, said


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of one job, under the name that the lens gives it, with the health of its last value."""

    name: str
    stats: MetricStats
    health: Health | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A job's best value of the main metric against its parent's. `difference` = own − parent's."""

    parent: JobId
    parent_best: float
    best: float
    difference: float
    matters: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """One job. `key` holds the lens's metrics in its order, `metrics` all of them under their logged names.

    `duration_s` is the last attempt's (up to now while it runs); `failure`, `cause` and `log_lines` are empty unless it
    ended badly. `attempts` counts those that were started, `tries` are all of them. `remedy_of` is the failed job in
    whose place it came, with the `steps` of its config ("batch_size 32 → 16"); `replaced_by` the job that took its own.
    `settled` says why nothing follows its failure, `not_before` (unix s) when it is tried again.

    `cell` is the first job of its config's runs, itself unless it is a `repeat` under another `seed`; a `fresh` one
    confirms a winner. `foreseen` is what the pack's laws expected of it. `fork_of` is the job that a live rule stopped
    and whose changed successor it is; `forked_to` the successor of its own config.
    """

    id: JobId
    loop: int
    round: int
    name: str
    cfg: str
    state: JobState
    outcome: Outcome | None
    output_dir: str
    log: str
    place: str
    attempts: int
    duration_s: float | None
    cell: JobId
    wandb_url: str = ""
    parent: JobId | None = None
    parent_cfg: str = ""
    proposer: str = ""
    rule: str = ""
    reason: str = ""
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: Mapping[str, Json] = field(default_factory=dict)
    metrics: Mapping[str, MetricStats] = field(default_factory=dict)
    key: tuple[Metric, ...] = ()
    main: Metric | None = None
    against: Comparison | None = None
    cause: str = ""
    log_lines: tuple[str, ...] = ()
    reading_notes: tuple[str, ...] = ()
    failure: Failure | None = None
    tries: tuple[AttemptReport, ...] = ()
    remedy_of: JobId | None = None
    steps: tuple[str, ...] = ()
    replaced_by: JobId | None = None
    settled: str = ""
    not_before: float = 0.0
    seed: int | None = None
    repeat: bool = False
    fresh: bool = False
    warm_from: JobId | None = None
    foreseen: tuple[Foreseen, ...] = ()
    fork_of: JobId | None = None
    forked_to: JobId | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended in a way that nobody asked for."""
        return self.outcome in (Outcome.FAILED, Outcome.LOST)

    @property
    def best(self) -> float | None:
        """Its best value of the main metric, if it trained to the end: one stopped earlier cannot be compared."""
        return self.main.stats.best if self.outcome is Outcome.SUCCEEDED and self.main is not None else None

    @property
    def stopped_by_rule(self) -> AttemptReport | None:
        """The attempt that a live rule stopped or is stopping, if one did."""
        stops = (one for one in reversed(self.tries) if one.stop is not None and one.stop.cause is StopCause.RULE)
        return next(stops, None)


def job_report(job: Job, summary: Summary | None, lens: Lens, now: float, evidence: Mapping[str, Json]) -> JobReport:
    """The job as it stands at `now` (unix s), by itself: what other jobs have to do with it comes later."""
    started = began(job.attempts)
    attempt, origin = (started[-1] if started else None), job.origin
    metrics = summary.metrics if summary else {}
    key = _key_metrics(metrics, lens)
    ended_badly = job.outcome not in (None, Outcome.SUCCEEDED)
    return JobReport(
        id=job.id,
        loop=job.loop,
        round=job.round,
        name=job.name,
        cfg=near(job.cfg_file, lens.root),
        state=job.state,
        outcome=job.outcome,
        output_dir=near(attempt.output_dir if attempt else job.output_dir, lens.root),
        log=near(attempt.log_file, lens.root) if attempt else "",
        place=_place(attempt),
        attempts=len(started),
        duration_s=_duration(attempt, now),
        wandb_url=masked(summary.wandb_url, lens.secrets) if summary else "",
        parent=origin.parent,
        parent_cfg=near(origin.parent_cfg, lens.root),
        proposer=origin.proposer,
        rule=origin.rule,
        reason=said(origin.reason, lens),
        changes=all_said(origin.changes, lens),
        notes=all_said(origin.notes, lens),
        evidence=evidence,
        metrics=metrics,
        key=key,
        main=next((metric for metric in key if metric.name == lens.main_metric), None),
        cause=said(_cause(job, attempt), lens) if ended_badly else "",
        log_lines=excerpt(attempt.log_tail, lens.secrets) if attempt and ended_badly else (),
        reading_notes=all_said(summary.notes, lens) if summary else (),
        failure=attempt.failure if attempt and job.outcome in (Outcome.FAILED, Outcome.LOST) else None,
        tries=attempt_reports(job, lens),
        remedy_of=origin.parent if origin.proposer == REMEDY else None,
        not_before=job.not_before if job.state is JobState.QUEUED else 0.0,
        cell=origin.parent if is_repeat(job) and origin.parent is not None else job.id,
        repeat=is_repeat(job),
        fresh=origin.proposer == CONFIRMATION,
        warm_from=job.warm_from,
        fork_of=origin.parent if origin.proposer == FORK else None,
    )


def _cause(job: Job, attempt: Attempt | None) -> str:
    """Why it ended so; a job that was withdrawn says it itself, whatever its attempts before had come to."""
    if job.outcome is Outcome.CANCELLED and job.cause:
        return job.cause
    return (attempt.cause if attempt else "") or job.cause


def _key_metrics(metrics: Mapping[str, MetricStats], lens: Lens) -> tuple[Metric, ...]:
    """The lens's metrics that the run logged, under any of their aliases."""
    logged = {lens.canonical(name): stats for name, stats in metrics.items()}
    found = ((name, metrics.get(name) or logged.get(lens.canonical(name))) for name in lens.shown)
    return tuple(Metric(name=name, stats=stats, health=_health(name, stats, lens)) for name, stats in found if stats)


def _health(name: str, stats: MetricStats, lens: Lens) -> Health | None:
    band = lens.band(name)
    return band.health(stats.last) if band and stats.last is not None else None


def _place(attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    gpus = [gpu if gpu.startswith(("GPU", "MIG")) else f"GPU {gpu}" for gpu in attempt.gpus]
    return f"slot {attempt.slot}, {', '.join(gpus) or 'CPU'}"


def _duration(attempt: Attempt | None, now: float) -> float | None:
    if attempt is None or attempt.started_at is None:
        return None
    return max((attempt.ended_at if attempt.ended_at is not None else now) - attempt.started_at, 0.0)
