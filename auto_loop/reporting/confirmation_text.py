"""Confirmations in Markdown: the one place of a report where something is called better."""

from auto_loop.domain.effect import Effect, in_words
from auto_loop.domain.job import JobId
from auto_loop.reporting import figures
from auto_loop.reporting.cells import CellReport, ConfirmationReport
from auto_loop.reporting.effect_text import called, chosen_by, listed, screened
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.markdown import code, fold, table
from auto_loop.reporting.told import LoopReport, Report, RoundReport
from auto_loop.reporting.tries import how

# Confirmations told in the opening, and rows of the study's table.
IN_SIGHT, ROWS = 3, 50


def effects_line(loop: LoopReport, report: Report) -> list[str]:
    """List items of the opening: what may be called better, and when nothing may, why not."""
    mine = [one for one in report.confirmations if one.loop == loop.loop.number]
    better = [one for one in mine if one.is_better]
    name = code(report.lens.goal_name)
    if better:
        return [f"- **Better, confirmed on fresh seeds**: {_told(one, report)}." for one in better[-IN_SIGHT:]]
    if mine:
        told = [f"  - {_told(one, report)}" for one in mine[-IN_SIGHT:]]
        return [f"- **Effect on {name}**: nothing is called better so far. Tried on fresh seeds:", *told]
    if loop.repeated:
        said = f"- **Effect on {name}**: nothing has looked promising enough to be confirmed on fresh seeds so far"
        held = [f"  - {called(cell, report)}: {screened(effect)}" for cell, effect in _newest_held(loop)]
        return [f"{said}. Against the base:", *held] if held else [f"{said}."]
    if not report.lens.main_metric or not any(cell.mean is not None for one in loop.rounds for cell in one.cells):
        return []
    return [
        f"- **Effect on {name}**: not known. Each config ran under one seed, and what differs may be chance"
        f" (`--repeats 5` runs each under five)."
    ]


def _newest_held(loop: LoopReport) -> list[tuple[CellReport, Effect]]:
    """The cells of the last round that could be held against the base."""
    held = [[(cell, cell.effect) for cell in one.cells if cell.effect is not None] for one in loop.rounds]
    return next((found for found in reversed(held) if found), [])[:IN_SIGHT]


def confirmations(report: Report) -> list[str]:
    """The study's confirmations as a section, or nothing."""
    if not report.confirmations:
        return []
    shown = report.confirmations[-ROWS:]
    rows = [
        [
            f"{one.number}",
            f"{one.loop}, round {one.round}",
            _name(one.candidate, report),
            _name(one.base, report),
            _seeds(one),
            _shown(one, report),
            _followed(one),
        ]
        for one in shown
    ]
    header = ["No.", "Loop", "Candidate", "Base", "Fresh seeds", "Effect", "What followed"]
    left_out = len(report.confirmations) - len(shown)
    more = ["", f"{figures.count(left_out, 'earlier one')} in the JSON beside this report."] if left_out else []
    return ["## Confirmations on fresh seeds", "", *table(header, rows), *more, ""]


def confirmation(one: RoundReport, report: Report) -> list[str]:
    """The round's own confirmation, with its jobs behind a fold; or nothing."""
    seen = one.confirmation
    if seen is None:
        return []
    before = f" It had looked promising by the runs that it was chosen by: {chosen_by(seen.screened)}."
    lines = [
        f"#### Confirmation after round {one.number}",
        "",
        f"On fresh seeds, {_told(seen, report)}; {_followed(seen)}.{before}",
        "",
    ]
    if not seen.jobs:
        return lines
    end = f"{report.lens.extreme.capitalize()} {code(report.lens.goal_name)}"
    header = ["Job", "Config of", "Seed", "Outcome", end]
    rows = (
        [f"{job.id} {code(job.name)}", _name(job.cell, report), _seed(job), how(job), _value(job)] for job in seen.jobs
    )
    title = f"The {figures.count(len(seen.jobs), 'run')} on fresh seeds: {listed([job.id for job in seen.jobs])}"
    return [*lines, *fold(title, table(header, rows)), ""]


def _told(one: ConfirmationReport, report: Report) -> str:
    sides = f"{_name(one.candidate, report)} against {_name(one.base, report)}"
    return f"{sides} on seeds {_seeds(one)}, {code(report.lens.goal_name)}: {_shown(one, report)}"


def _shown(one: ConfirmationReport, report: Report) -> str:
    if one.effect is None:
        ended = sum(job.outcome is not None for job in one.jobs)
        return f"to be measured ({ended} of {len(one.jobs)} runs have ended)"
    return in_words(one.effect)


def _followed(one: ConfirmationReport) -> str:
    if one.effect is None:
        return "it is not decided"
    return "the winner is the base from the next round on" if one.is_better else "the base stays"


def _name(number: JobId, report: Report) -> str:
    job = report.job(number)
    return f"job {number} {code(job.name)}" if job else f"job {number}"


def _seeds(one: ConfirmationReport) -> str:
    return listed(list(one.seeds)).removeprefix("jobs ").removeprefix("job ") if one.seeds else figures.NONE


def _seed(job: JobReport) -> str:
    return str(job.seed) if job.seed is not None else figures.NONE


def _value(job: JobReport) -> str:
    return figures.number(job.best if job.best is not None else job.main.stats.last if job.main else None)
