"""A job in Markdown: its figures in words, and its block with everything that is known of it."""

import json
from collections.abc import Mapping
from datetime import tzinfo

from auto_loop.domain.config import Json
from auto_loop.domain.job import JobState, Outcome
from auto_loop.domain.series import Source
from auto_loop.domain.stats import Direction
from auto_loop.reporting import figures
from auto_loop.reporting.effect_text import screened, single
from auto_loop.reporting.foresight import PREDICTS
from auto_loop.reporting.job_report import Comparison, JobReport, Metric
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.lineage import numbers
from auto_loop.reporting.markdown import block, code, cut, fold, inline, link, table
from auto_loop.reporting.told import Report
from auto_loop.reporting.tries import course, how, took, which_try

# Evidence that is no reading: at which steps the readings were taken.
STEPS = "steps"

# The blank before an arrow does not break, so that no arrow stands alone.
_ARROWS = {Direction.HIGHER: "\u00a0↑", Direction.LOWER: "\u00a0↓", Direction.NONE: ""}
_NAMES = 12
# Repeats of one job told behind its fold; the JSON has them all.
REPEATS = 50
# Metrics in a round of more jobs are folded away where the job ended well.
MOST_UNFOLDED = 8


def goal_name(lens: Lens) -> str:
    """The objective's name, with its arrow."""
    return metric_name(lens.main_metric, lens) if lens.goal is None else lens.goal_name


def metric_name(name: str, lens: Lens) -> str:
    """A metric's name, and an arrow the way it gets better."""
    return f"{code(name)}{_ARROWS[lens.direction(name)]}"


def first_to_last(metric: Metric | None) -> str:
    """`0.52 → 0.31`, with the health of the last value where the metric has a band."""
    if metric is None:
        return figures.NONE
    stats = metric.stats
    values = f"{figures.number(stats.last)}{final(metric)}" if stats.first is None else _arrow(stats.first, stats.last)
    return f"{values} ({metric.health})" if metric.health else values


def best(metric: Metric | None) -> str:
    """`0.3062 @500`: the best value and its step."""
    if metric is None or metric.stats.best is None:
        return figures.NONE
    step = f" @{metric.stats.best_step}" if metric.stats.best_step is not None else ""
    return f"{figures.number(metric.stats.best)}{step}"


def standing(job: JobReport) -> str:
    """How the job ended or stands, a failure with its class; what needs a look is in bold."""
    if job.failed:
        return f"**{how(job)}**"
    if job.outcome in (Outcome.STOPPED, Outcome.CANCELLED) and job.cause:
        cause = inline(cut(job.cause, 80))
        return cause if cause.startswith("stopped") else f"{job.outcome}: {cause}"
    return how(job)


def compared(against: Comparison, report: Report, loop: int) -> str:
    """A comparison said no more strongly than one run can bear."""
    lens = report.lens
    if against.difference == 0:
        return f"the same {lens.extreme}, {figures.number(against.best)}, as job {against.parent}"
    values = f"{figures.number(against.best)} against {figures.number(against.parent_best)} of job {against.parent}"
    told = f"{lens.extreme} {values}: {single(against.difference, report.noise(loop))}"
    if not against.matters:
        return f"{told}; less than the smallest difference that matters ({figures.number(lens.min_difference)})"
    return told


def job_block(job: JobReport, report: Report, zone: tzinfo, *, folded: bool = False) -> list[str]:
    """Everything about one job, compactly; its repeats, and the metrics if it is to be `folded` and ended well, behind
    folds."""
    lines = [*_origin(job, report), *_whereabouts(job), *course(job, report, zone)]
    lines += _against_parent(job, report)
    lines += [f"- Note from reading it: {inline(note)}" for note in job.reading_notes]
    metrics = _metrics(job, report)
    if folded and job.metrics and job.outcome is Outcome.SUCCEEDED:
        metrics = [*fold(f"Metrics of job {job.id}", metrics[:-1]), ""]
    return [*lines, "", *metrics, *_repeats(job, report), *_failure(job)]


def _repeats(job: JobReport, report: Report) -> list[str]:
    """The other runs of its cell in the round, a line each."""
    cell = report.cells.get(job.id)
    others = cell.jobs[1:] if cell else ()
    if not others:
        return []
    lens = report.lens
    header = ["Job", "Seed", "Outcome", f"{lens.extreme.capitalize()} {goal_name(lens)}", "Output"]
    rows = (
        [
            f"{one.id} {code(one.name)}",
            str(one.seed) if one.seed is not None else figures.NONE,
            standing(one),
            best(one.main),
            code(one.output_dir),
        ]
        for one in others[:REPEATS]
    )
    which = f"{figures.count(len(others), 'repeat')} of job {job.id} under other seeds"
    return [*fold(which, table(header, rows)), ""]


def _against_parent(job: JobReport, report: Report) -> list[str]:
    """The job's cell against its parent's where there are several runs of one, else run against run."""
    effect = report.effects.get(job.id)
    if effect is not None:
        told = screened(effect, confirmed=_was_tried(job, report))
        return [f"- Against its parent, job {job.parent}: {code(report.lens.goal_name)} {told}."]
    if job.against is None or job.warm_from is not None:
        return []
    return [f"- Against its parent: {compared(job.against, report, job.loop)}."]


def _was_tried(job: JobReport, report: Report) -> bool:
    """Whether it was run on fresh seeds to be confirmed."""
    return any(one.candidate == job.cell for one in report.confirmations)


def _origin(job: JobReport, report: Report) -> list[str]:
    config = f"- Config: {code(job.cfg)}"
    if job.parent_cfg:
        number = f"job {job.parent}, " if job.parent is not None else ""
        config += f", from {number}{code(job.parent_cfg)}"
    lines = [config]
    if job.remedy_of is not None:
        failed = report.job(job.remedy_of)
        name = f" {code(failed.name)}, which {how(failed)}" if failed else ""
        lines.append(f"- In place of: job {job.remedy_of}{name}")
    if job.fork_of is not None:
        lines.append(f"- Successor of: job {job.fork_of}, which a live rule stopped")
    if job.warm_from is not None:
        lines.append(f"- Starts from: the last checkpoint of job {job.warm_from}; so it is not compared with others")
    if job.changes:
        lines.append(f"- Changed: {', '.join(map(code, job.changes))}")
    if descent := numbers(job, report):
        lines.append(f"- Lineage: {descent}")
    if job.reason:
        by = code(job.rule) if job.rule else inline(job.proposer)
        lines.append(f"- Why: {inline(job.reason)}{f' ({by})' if by else ''}")
    if told := evidence(job.evidence, job):
        lines.append(f"- Evidence: {told}")
    return lines + [f"- Note: {inline(note)}" for note in job.notes]


def evidence(readings: Mapping[str, Json], child: JobReport | None) -> str:
    """The readings that a reason rests on, as `name = value`; then what it foresaw, and what came of it in `child`."""
    told = [f"{code(name)} = {_reading(value)}" for name, value in readings.items() if name not in (PREDICTS, STEPS)]
    return ", ".join([*told, *_foreseen(readings.get(PREDICTS), child)])


def _foreseen(predicts: Json, child: JobReport | None) -> list[str]:
    """What was aimed at: metrics by name, or with the value that was predicted for each."""
    if isinstance(predicts, dict):
        return [f"{code(name)} predicted {_reading(value)}{_came(name, child)}" for name, value in predicts.items()]
    names = predicts if isinstance(predicts, list) else [predicts] if predicts else []
    return [f"aims at {code(str(name))}{_came(str(name), child)}" for name in names]


def _came(name: str, child: JobReport | None) -> str:
    """The value that the child measured at its end."""
    if child is None:
        return ""
    last = next((metric.stats.last for metric in child.key if metric.name == name), None)
    if last is None and name in child.metrics:
        last = child.metrics[name].last
    return f" → measured {figures.number(last)}" if last is not None else ""


def _reading(value: Json) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return figures.number(value)
    return inline(cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 120))


def _whereabouts(job: JobReport) -> list[str]:
    after = f" after {told}" if (told := took(job)) else ""
    place = f" in {inline(job.place)}" if job.place and job.state is not JobState.QUEUED else ""
    tries = f", {told}" if (told := which_try(job)) else ""
    log = f", log {code(job.log)}" if job.log else ""
    lines = [f"- Outcome: {standing(job)}{after}{place}{tries}", f"- Output: {code(job.output_dir)}{log}"]
    if job.wandb_url:
        lines.append(f"- W&B: {link(job.wandb_url)}")
    return lines


def _metrics(job: JobReport, report: Report) -> list[str]:
    if not job.metrics:
        waiting = job.state is not JobState.DONE
        return ["No metrics yet." if waiting else "No metrics could be read from its output folder.", ""]
    others = len(job.metrics) - len(job.key)
    if not job.key:
        names = ", ".join(code(name) for name in sorted(job.metrics)[:_NAMES])
        rest = f" and {len(job.metrics) - _NAMES} more" if len(job.metrics) > _NAMES else ""
        return [f"None of the key metrics was logged. Logged were: {names}{rest}.", ""]
    header = ["Metric", "First", "Last", "Furthest @step", "Δ", "%", "Points"]
    lines = table(header, (_metric_row(metric, report.lens) for metric in job.key))
    more = [f"{figures.count(others, 'further metric')} in the JSON beside this report.", ""] if others > 0 else []
    return [*lines, "", *more]


def _metric_row(metric: Metric, lens: Lens) -> list[str]:
    stats = metric.stats
    points = f"{stats.n}{final(metric)}" + (f" and {stats.nan_count} not finite" if stats.nan_count else "")
    return [
        metric_name(metric.name, lens),
        figures.number(stats.first),
        figures.number(stats.last) + (f" ({metric.health})" if metric.health else ""),
        best(metric),
        figures.signed(stats.delta),
        figures.percent(stats.pct),
        points,
    ]


def _failure(job: JobReport) -> list[str]:
    if job.outcome in (None, Outcome.SUCCEEDED):
        return []
    lines = [f"Cause: {inline(job.cause) or 'not known'}", ""]
    if not job.log_lines:
        return lines
    return [*lines, "The end of its log:", "", *block(job.log_lines), ""]


def final(metric: Metric) -> str:
    """That a value is all that is known of a metric; nothing where more is."""
    return " (final-only)" if metric.stats.source is Source.FINAL_ONLY else ""


def _arrow(first: float | None, last: float | None) -> str:
    return f"{figures.number(first)} → {figures.number(last)}"
