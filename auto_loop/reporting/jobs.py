"""A job in Markdown: its row in the round's table, and its block with everything that is known of it."""

import json
from collections.abc import Mapping
from datetime import tzinfo

from auto_loop.domain.config import Json
from auto_loop.domain.job import JobState, Outcome
from auto_loop.domain.series import Source
from auto_loop.domain.stats import Direction
from auto_loop.reporting import figures
from auto_loop.reporting.job_report import Comparison, JobReport, Metric
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.lineage import numbers
from auto_loop.reporting.markdown import block, code, cut, fold, inline, link, table
from auto_loop.reporting.report import Report, RoundReport
from auto_loop.reporting.tries import course, how, took, which_try

# The key under which evidence names what a computed edit aims at.
PREDICTS, STEPS = "predicts", "steps"

# Metrics in a round's table: more make it wider than a page, and the job's block has them all.
COLUMNS = 3
COLUMNS_BESIDE_CHANGES = 2
# The blank before an arrow does not break, so that no arrow stands alone.
_ARROWS = {Direction.HIGHER: "\u00a0↑", Direction.LOWER: "\u00a0↓", Direction.NONE: ""}
_NAMES = 12
_SOURCES = {
    Source.MIRROR: "`wandb-history.jsonl`, the runner's mirror",
    Source.METRICS: "`metrics.jsonl` or `windows.jsonl`",
    Source.WANDB: "the `.wandb` file",
    Source.TENSORBOARD: "TensorBoard events",
    Source.FINAL_ONLY: "a summary of final values only (*final-only*: they show no change)",
}
# Metrics in a round of more jobs are folded away where the job ended well.
MOST_UNFOLDED = 8


def job_table(one: RoundReport, report: Report) -> list[str]:
    """One row a job: how it ended, what changed, the first key metrics first → last, the best.

    Why it changed stands in the decisions of the round before and in the job's block.
    """
    lens = report.lens
    logged = {metric.name for job in one.jobs for metric in job.key}
    changed = any(job.changes for job in one.jobs)
    width = COLUMNS_BESIDE_CHANGES if changed else COLUMNS
    names = [name for name in lens.shown if name in logged][:width]
    header = ["Job", "Outcome", *(metric_name(name, lens) for name in names)]
    header += ["Changed against its parent"] * changed
    rows = (_row(job, names, lens) + [_changed(job)] * changed for job in one.jobs)
    return [*table(header, rows), *_sources(one)]


def _sources(one: RoundReport) -> list[str]:
    """Where the round's metrics were read: once if all jobs are alike, else by source."""
    jobs: dict[str, list[int]] = {}
    for job in one.jobs:
        sources = sorted({stats.source for stats in job.metrics.values()})
        if sources:
            jobs.setdefault(" and ".join(_SOURCES[source] for source in sources), []).append(job.id)
    if len(jobs) <= 1:
        return ["", *(f"Metrics read from {source}." for source in jobs)] if jobs else []
    return ["", f"Metrics read from {'; '.join(f'{source}: {_numbered(ids)}' for source, ids in jobs.items())}."]


def _numbered(ids: list[int]) -> str:
    more = f" and {len(ids) - _NAMES} more" if len(ids) > _NAMES else ""
    return f"job{'s' if len(ids) > 1 else ''} {', '.join(map(str, ids[:_NAMES]))}{more}"


def _row(job: JobReport, names: list[str], lens: Lens) -> list[str]:
    key = {metric.name: metric for metric in job.key}
    cells = [first_to_last(key.get(name)) for name in names]
    if job.main and job.main.stats.best is not None and lens.main_metric in names:
        cells[names.index(lens.main_metric)] += f", best {best(job.main)}"
    tried = "".join(f", {told}" for told in (took(job), which_try(job)) if told)
    place = f"; job {job.replaced_by} took its place" if job.replaced_by is not None else ""
    return [f"{job.id} {code(job.name)}", f"{standing(job)}{tried}{place}", *cells]


def _changed(job: JobReport) -> str:
    told = ", ".join(code(cut(change, 60)) for change in job.changes) or figures.NONE
    return f"in place of job {job.remedy_of}: {told}" if job.remedy_of is not None else told


def metric_name(name: str, lens: Lens) -> str:
    """A metric's name, and an arrow the way it gets better."""
    return f"{code(name)}{_ARROWS[lens.direction(name)]}"


def first_to_last(metric: Metric | None) -> str:
    """`0.52 → 0.31`, with the health of the last value where the metric has a band."""
    if metric is None:
        return figures.NONE
    stats = metric.stats
    values = f"{figures.number(stats.last)}{_final(metric)}" if stats.first is None else _arrow(stats.first, stats.last)
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


def noise(repeats: Json) -> str:
    """What is known of the spread between runs that differ in nothing but the seed."""
    return f"no noise floor known (repeats {repeats})"


def compared(against: Comparison, lens: Lens, repeats: Json) -> str:
    """A comparison said no more strongly than one run can bear."""
    if against.difference == 0:
        return f"the same best, {figures.number(against.best)}, as job {against.parent}"
    word = "higher" if against.difference > 0 else "lower"
    said = (
        f"best {figures.number(against.best)}, {figures.number(abs(against.difference))} {word} than job"
        f" {against.parent} ({figures.number(against.parent_best)}) on one seed; {noise(repeats)}"
    )
    if not against.matters:
        return f"{said}; less than the smallest difference that matters ({figures.number(lens.min_difference)})"
    return said


def job_block(job: JobReport, report: Report, zone: tzinfo, *, folded: bool = False) -> list[str]:
    """Everything about one job, compactly; the metrics `folded` away if it ended well."""
    lines = [*_origin(job, report), *_whereabouts(job), *course(job, report, zone)]
    if job.against:
        lines.append(f"- Against its parent: {compared(job.against, report.lens, report.repeats(job.loop))}.")
    lines += [f"- Note from reading it: {inline(note)}" for note in job.reading_notes]
    metrics = _metrics(job, report)
    if folded and job.metrics and job.outcome is Outcome.SUCCEEDED:
        metrics = [*fold(f"Metrics of job {job.id}", metrics[:-1]), ""]
    return [*lines, "", *metrics, *_failure(job)]


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
    header = ["Metric", "First", "Last", "Best @step", "Δ", "%", "Points"]
    lines = table(header, (_metric_row(metric, report.lens) for metric in job.key))
    more = [f"{figures.count(others, 'further metric')} in the JSON beside this report.", ""] if others > 0 else []
    return [*lines, "", *more]


def _metric_row(metric: Metric, lens: Lens) -> list[str]:
    stats = metric.stats
    points = f"{stats.n}{_final(metric)}" + (f" and {stats.nan_count} not finite" if stats.nan_count else "")
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


def _final(metric: Metric) -> str:
    return " (final-only)" if metric.stats.source is Source.FINAL_ONLY else ""


def _arrow(first: float | None, last: float | None) -> str:
    return f"{figures.number(first)} → {figures.number(last)}"
