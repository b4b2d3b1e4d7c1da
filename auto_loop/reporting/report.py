"""The report as a value: what happened in a study, loop by loop, round by round, job by job. Pure.

Everything that the Markdown and the JSON say is decided here; they only write it down. Free text from outside
(reasons, causes, logs) is masked on the way in, and project paths are made relative.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from auto_loop.domain.config import Json
from auto_loop.domain.history import History, ProposalRecord, SilenceRecord
from auto_loop.domain.job import Attempt, Job, JobId, JobState, Outcome
from auto_loop.domain.secrets import masked
from auto_loop.domain.study import Loop, Study
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.reporting.excerpt import excerpt
from auto_loop.reporting.lens import Health, Lens


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

    `duration_s` is the last attempt's (up to now while it runs); `cause` and `log_lines` are empty unless it failed.
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

    @property
    def failed(self) -> bool:
        """Whether it ended in a way that needs a look."""
        return self.outcome in (Outcome.FAILED, Outcome.LOST)

    @property
    def best(self) -> float | None:
        """Its best value of the main metric, if it ended well enough to count."""
        counts = self.main is not None and not self.failed and self.outcome is not Outcome.CANCELLED
        return self.main.stats.best if counts and self.main is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One round: its jobs, and what was decided after them."""

    loop: int
    number: int
    jobs: tuple[JobReport, ...]
    proposals: tuple[ProposalRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
    best: JobReport | None = None

    @property
    def open(self) -> int:
        """How many of its jobs have not ended."""
        return sum(job.state is not JobState.DONE for job in self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReport:
    """One loop: its rounds in order, the job with the best main metric, and its jobs counted by how they stand."""

    loop: Loop
    rounds: tuple[RoundReport, ...]
    best: JobReport | None = None
    standing: Mapping[str, int] = field(default_factory=dict)

    @property
    def jobs(self) -> tuple[JobReport, ...]:
        """All its jobs, in order of rounds."""
        return tuple(job for each in self.rounds for job in each.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A study at the moment `written_at` (unix s); loops newest first. `known` are all its jobs by number."""

    study: Study
    written_at: float
    loops: tuple[LoopReport, ...]
    lens: Lens
    known: Mapping[JobId, JobReport] = field(default_factory=dict)

    def repeats(self, loop: int) -> Json:
        """How many times each config of a loop was run; 1 unless the loop's flags say otherwise."""
        return next((each.loop.flags.get("repeats", 1) for each in self.loops if each.loop.number == loop), 1)

    def job(self, number: JobId) -> JobReport | None:
        """The job with this number, whichever loop it belongs to."""
        return self.known.get(number)


def report(history: History, lens: Lens, now: float) -> Report:
    """The report of a study as its history stands at `now` (unix s). Jobs that still run are in it."""
    evidence = {each.child: each.proposal.evidence for each in history.proposals if each.child is not None}
    jobs = {
        job.id: _job(job, history.summaries.get(job.id), lens, now, evidence.get(job.id, {})) for job in history.jobs
    }
    compared = [_compared(job, jobs, lens) for job in jobs.values()]
    loops = sorted(history.loops, key=lambda loop: loop.number, reverse=True)
    return Report(
        study=history.study,
        written_at=now,
        loops=tuple(_loop(loop, [job for job in compared if job.loop == loop.number], history, lens) for loop in loops),
        lens=lens,
        known={job.id: job for job in compared},
    )


def near(file: str, root: str) -> str:
    """`file` relative to `root` with forward slashes if it lies below, else as it is."""
    place = PurePath(file)
    return place.relative_to(root).as_posix() if root and file and place.is_relative_to(root) else file


def _job(job: Job, summary: Summary | None, lens: Lens, now: float, evidence: Mapping[str, Json]) -> JobReport:
    attempt, origin = job.last_attempt, job.origin
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
        attempts=len(job.attempts),
        duration_s=_duration(attempt, now),
        wandb_url=masked(summary.wandb_url, lens.secrets) if summary else "",
        parent=origin.parent,
        parent_cfg=near(origin.parent_cfg, lens.root),
        proposer=origin.proposer,
        rule=origin.rule,
        reason=_said(origin.reason, lens),
        changes=_all_said(origin.changes, lens),
        notes=_all_said(origin.notes, lens),
        evidence=evidence,
        metrics=metrics,
        key=key,
        main=next((metric for metric in key if metric.name == lens.main_metric), None),
        cause=_said((attempt.cause if attempt else "") or job.cause, lens) if ended_badly else "",
        log_lines=excerpt(attempt.log_tail, lens.secrets) if attempt and ended_badly else (),
        reading_notes=_all_said(summary.notes, lens) if summary else (),
    )


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
    return f"slot {attempt.slot}, {'GPU ' + ', '.join(attempt.gpus) if attempt.gpus else 'CPU'}"


def _duration(attempt: Attempt | None, now: float) -> float | None:
    if attempt is None or attempt.started_at is None:
        return None
    return max((attempt.ended_at if attempt.ended_at is not None else now) - attempt.started_at, 0.0)


def _said(text: str, lens: Lens) -> str:
    """Text from outside, fit to be shown: secrets masked, files of the project without the way to the project."""
    return masked(text.replace(f"{lens.root}/", "") if lens.root else text, lens.secrets)


def _all_said(texts: tuple[str, ...], lens: Lens) -> tuple[str, ...]:
    return tuple(_said(text, lens) for text in texts)


def _compared(job: JobReport, jobs: Mapping[JobId, JobReport], lens: Lens) -> JobReport:
    """`job` with its parent's config and, where both have a best main metric, the comparison."""
    if job.parent is None or job.parent not in jobs:
        return job
    parent = jobs[job.parent]
    against = None
    if job.best is not None and parent.best is not None:
        difference = job.best - parent.best
        against = Comparison(
            parent=parent.id,
            parent_best=parent.best,
            best=job.best,
            difference=difference,
            matters=abs(difference) >= lens.min_difference,
        )
    return replace(job, parent_cfg=job.parent_cfg or parent.cfg, against=against)


def _loop(loop: Loop, jobs: list[JobReport], history: History, lens: Lens) -> LoopReport:
    rounds_of = {job.id: job.round for job in jobs}
    proposals = [_safe(each, lens) for each in history.proposals if each.loop == loop.number]
    silences = [_quiet(each, jobs, lens) for each in history.silences if each.loop == loop.number]
    spoken = {rounds_of.get(p.parent, p.round) for p in proposals}
    silent = {rounds_of.get(s.silence.parent, s.round) for s in silences}
    numbers = sorted({job.round for job in jobs} | spoken | silent)
    return LoopReport(
        loop=replace(loop, end_reason=_said(loop.end_reason, lens)),
        rounds=tuple(
            RoundReport(
                loop=loop.number,
                number=number,
                jobs=tuple(job for job in jobs if job.round == number),
                proposals=tuple(p for p in proposals if rounds_of.get(p.parent, p.round) == number),
                silences=tuple(s for s in silences if rounds_of.get(s.silence.parent, s.round) == number),
                best=_best([job for job in jobs if job.round == number], lens),
            )
            for number in numbers
        ),
        best=_best(jobs, lens),
        standing=Counter(str(job.outcome or job.state) for job in jobs),
    )


def _best(jobs: list[JobReport], lens: Lens) -> JobReport | None:
    """The job with the best main metric, the first of equals; None where none has one."""
    best: JobReport | None = None
    for job in jobs:
        if job.best is not None and (best is None or best.best is None or lens.better(job.best, best.best)):
            best = job
    return best


def _safe(record: ProposalRecord, lens: Lens) -> ProposalRecord:
    proposal = replace(record.proposal, reason=_said(record.proposal.reason, lens))
    edits = record.edits or tuple(f"{path}={value}" for path, value in record.proposal.changes.items())
    return replace(record, proposal=proposal, edits=_all_said(edits, lens), reasons=_all_said(record.reasons, lens))


def _quiet(record: SilenceRecord, jobs: list[JobReport], lens: Lens) -> SilenceRecord:
    """`record` with files in the job's own output folder named from there."""
    detail = _said(record.silence.detail, lens)
    for job in jobs:
        if job.id == record.silence.parent and job.output_dir:
            detail = detail.replace(f"{job.output_dir}/", "")
    return replace(record, silence=replace(record.silence, detail=detail))
