"""A round's table: a row for each config with its runs, however many seeds it ran under."""

from collections import Counter

from auto_loop.domain.job import Outcome
from auto_loop.domain.series import Source
from auto_loop.domain.stats import Direction
from auto_loop.reporting import figures
from auto_loop.reporting.cells import CellReport
from auto_loop.reporting.effect_text import called, listed, spread
from auto_loop.reporting.job_report import JobReport, Metric
from auto_loop.reporting.jobs import best, final, first_to_last, metric_name, standing
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.markdown import code, cut, table
from auto_loop.reporting.told import Report, RoundReport
from auto_loop.reporting.tries import took, which_try

# Metrics in a round's table: more make it wider than a page, and the job's block has them all.
COLUMNS = 3
COLUMNS_BESIDE_CHANGES = 2
_SPANS, _SEEDS = 12, 8
_SOURCES = {
    Source.MIRROR: "`wandb-history.jsonl`, the runner's mirror",
    Source.METRICS: "`metrics.jsonl` or `windows.jsonl`",
    Source.WANDB: "the `.wandb` file",
    Source.TENSORBOARD: "TensorBoard events",
    Source.FINAL_ONLY: "a summary of final values only (*final-only*: they show no change)",
}


def cell_table(one: RoundReport, report: Report) -> list[str]:
    """One row a config: how its runs ended, the first key metrics, and what changed.

    Why it changed stands in the decisions of the round before and in the job's block. Runs on fresh seeds are told with
    the confirmation that they are for.
    """
    lens = report.lens
    logged = {metric.name for cell in one.cells for job in cell.jobs for metric in job.key}
    changed = any(cell.lead.changes for cell in one.cells)
    names = [name for name in lens.shown if name in logged][: COLUMNS_BESIDE_CHANGES if changed else COLUMNS]
    header = ["Job", "Outcome", *(metric_name(name, lens) for name in names)]
    header += ["Changed against its parent"] * changed
    rows = (_row(cell, names, report) + [_changed(cell.lead)] * changed for cell in one.cells)
    return [*table(header, rows), "", *_how_to_read(one, lens), *_sources(one)]


def _row(cell: CellReport, names: list[str], report: Report) -> list[str]:
    if len(cell.jobs) > 1 or cell.lead.repeat:
        return [
            f"{called(cell, report)}{_seeds(cell)}",
            _outcomes(cell),
            *(_over_seeds(cell, n, report) for n in names),
        ]
    job, lens = cell.lead, report.lens
    key = {metric.name: metric for metric in job.key}
    cells = [first_to_last(key.get(name)) for name in names]
    if job.main and job.main.stats.best is not None and lens.main_metric in names:
        end = "highest" if lens.direction(lens.main_metric) is Direction.HIGHER else "lowest"
        cells[names.index(lens.main_metric)] += f", {end} {best(job.main)}"
    tried = "".join(f", {told}" for told in (took(job), which_try(job)) if told)
    place = f"; job {job.replaced_by} took its place" if job.replaced_by is not None else ""
    return [f"{job.id} {code(job.name)}", f"{standing(job)}{tried}{place}", *cells]


def _seeds(cell: CellReport) -> str:
    """`, seeds 1–3`."""
    seeds = [job.seed for job in cell.jobs if job.seed is not None]
    if not seeds:
        return ""
    told = listed(seeds).removeprefix("jobs ").removeprefix("job ")
    return f", seed{'s' if len(seeds) > 1 else ''} {cut(told, 40)}"


def _outcomes(cell: CellReport) -> str:
    """`3 succeeded, 1 m 30 s each`, or what each came to where they ended in different ways."""
    counts = Counter(standing(job) for job in cell.jobs)
    told = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    took_s = [job.duration_s for job in cell.jobs if job.duration_s is not None and job.outcome is Outcome.SUCCEEDED]
    return f"{told}, {figures.duration(sum(took_s) / len(took_s))} each" if took_s else told


def _over_seeds(cell: CellReport, name: str, report: Report) -> str:
    """Of the main metric mean and spread; of another the median of its last values, with how far they reach."""
    lens = report.lens
    if name == lens.main_metric and lens.goal is None:
        return spread(cell)
    found = [
        metric for job in cell.jobs if job.outcome is Outcome.SUCCEEDED for metric in job.key if metric.name == name
    ]
    values = sorted(one.stats.last for one in found if one.stats.last is not None)
    if not values:
        return figures.NONE
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    reach = f", {figures.number(values[0])} to {figures.number(values[-1])}" if values[0] != values[-1] else ""
    return f"{figures.number(middle)}{final(found[0])}{reach}{_healths(found)}"


def _healths(found: list[Metric]) -> str:
    counts = Counter(str(one.health) for one in found if one.health)
    if len(counts) == 1:
        return f" ({next(iter(counts))})"
    return f" ({', '.join(f'{count} {health}' for health, count in counts.most_common())})" if counts else ""


def _how_to_read(one: RoundReport, lens: Lens) -> list[str]:
    if not any(len(cell.jobs) > 1 for cell in one.cells):
        return []
    name = code(lens.main_metric)
    main = f"of {name} mean ± standard deviation of each run's {lens.extreme} value, of others " if name else ""
    return [f"Several seeds: {main}the median of the runs' last values and their range.", ""]


def _changed(job: JobReport) -> str:
    if job.repeat:
        return figures.NONE
    told = ", ".join(code(cut(change, 60)) for change in job.changes) or figures.NONE
    return f"in place of job {job.remedy_of}: {told}" if job.remedy_of is not None else told


def _sources(one: RoundReport) -> list[str]:
    """Where the round's metrics were read: once if all jobs are alike, else by source."""
    jobs: dict[str, list[int]] = {}
    for job in one.jobs:
        sources = sorted({stats.source for stats in job.metrics.values()})
        if sources:
            jobs.setdefault(" and ".join(_SOURCES[source] for source in sources), []).append(job.id)
    if len(jobs) <= 1:
        return [line for source in jobs for line in (f"Metrics read from {source}.", "")]
    told = "; ".join(f"{source}: {cut(listed(ids), 80)}" for source, ids in jobs.items())
    return [f"Metrics read from {told}.", ""]
