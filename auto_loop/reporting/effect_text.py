"""Effects in words that claim no more than the runs can bear: single runs, cells, and the noise between seeds.

"Better" stands in no line of this module: it is said of a confirmation on fresh seeds, and nowhere else.
"""

import math
from collections.abc import Sequence

from auto_loop.domain.effect import Effect, Finding, in_words
from auto_loop.domain.noise import TRACK_LEVEL, NoiseFloor
from auto_loop.domain.student import quantile
from auto_loop.reporting import figures
from auto_loop.reporting.cells import CellReport
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.markdown import code, fold
from auto_loop.reporting.told import LoopReport, Report, RoundReport

# Cells in sight, cells behind a fold, and single runs told in one line.
IN_SIGHT, FOLDED, SINGLES = 8, 100, 12


def spread(cell: CellReport) -> str:
    """`0.3062 ± 0.0041 (3 seeds)`: mean and standard deviation of a cell's runs."""
    if cell.n < 2:
        return figures.number(cell.mean)
    return f"{figures.number(cell.mean)} ± {deviation(cell.sd)} ({cell.n} seeds)"


def deviation(sd: float | None) -> str:
    """A standard deviation, in two digits: it is not known more closely."""
    return figures.number(None if sd is None else float(f"{sd:.2g}"))


def screened(effect: Effect, *, confirmed: bool = False) -> str:
    """An effect by runs that a choice has seen; `confirmed` says that its confirmation is told elsewhere."""
    said = chosen_by(effect)
    match effect.finding:
        case Finding.BETTER:
            return f"{said}: promising, {'see its confirmation' if confirmed else 'to be confirmed'}"
        case Finding.WORSE:
            return f"{said}: not promising"
        case Finding.NONE | Finding.UNKNOWN:
            return said


def chosen_by(effect: Effect) -> str:
    """The numbers of an effect without the word for them."""
    return in_words(effect).removesuffix(f": {effect.finding}")


def single(difference: float, noise: NoiseFloor | None) -> str:
    """The difference of two single runs: `0.012 lower; one seed each, noise not known`."""
    return f"{gap(difference)}; one seed each, {noise_held_against(difference, noise)}"


def gap(difference: float) -> str:
    """`0.012 lower`."""
    if difference == 0:
        return "the same"
    return f"{figures.number(abs(difference))} {'higher' if difference > 0 else 'lower'}"


def noise_held_against(difference: float, noise: NoiseFloor | None) -> str:
    """What the noise floor says of the difference of two single runs."""
    width = reach(noise)
    if width is None:
        return "noise not known"
    if abs(difference) <= width:
        return f"within the noise floor of ±{deviation(width)}"
    return f"beyond the noise floor of ±{deviation(width)}, which one seed alone cannot confirm"


def reach(noise: NoiseFloor | None) -> float | None:
    """Up to which difference two single runs lie apart by their seeds alone, in nine cases of ten."""
    if noise is None:
        return None
    if noise.paired_sd is not None:
        return quantile((1 + TRACK_LEVEL) / 2, noise.paired_df) * noise.paired_sd
    return None if noise.sd is None else quantile((1 + TRACK_LEVEL) / 2, noise.df) * noise.sd * math.sqrt(2)


def noise_line(loop: LoopReport, lens: Lens) -> list[str]:
    """One list item: how far apart runs of one config lie, and from how much that is known."""
    noise, width = loop.noise, reach(loop.noise)
    if noise is None or width is None:
        return []
    where = f", from loop {loop.noise_of}" if loop.noise_of != loop.loop.number else ""
    cells = figures.count(noise.cells, "config", "configs")
    paired = (
        f", of a difference under one seed {deviation(noise.paired_sd)} ({noise.paired_df} degrees)"
        if noise.paired_sd is not None
        else ""
    )
    alike = " under one seed" if noise.paired_sd is not None else ""
    return [
        f"- **Noise floor** of {code(lens.goal_name)}: ±{deviation(width)}; in nine cases of ten two single runs{alike}"
        f" lie no further apart by chance. Standard deviation of a run {deviation(noise.sd)} (from {cells},"
        f" {noise.df} degrees of freedom{where}){paired}."
    ]


def against_base(one: RoundReport, report: Report) -> list[str]:
    """The round's cells held against the base of their loop, or nothing where there is nothing to hold."""
    held = [cell for cell in one.cells if cell.effect is not None]
    if held:
        return [*_cells(held, one, report), ""]
    singles = [cell for cell in one.cells if cell.difference is not None]
    return [_singles(singles, one, report), ""] if singles else []


def _cells(held: list[CellReport], one: RoundReport, report: Report) -> list[str]:
    confirmed = one.confirmation.candidate if one.confirmation else None
    lines = [
        f"- {called(cell, report)}: {screened(cell.effect, confirmed=cell.lead.cell == confirmed)}"
        for cell in held[: IN_SIGHT + FOLDED]
        if cell.effect is not None
    ]
    base = held[0].base
    name = f", job {base} {code(known.name)}" if base and (known := report.job(base)) else ""
    head = f"Effect on {code(report.lens.goal_name)} against the base{name} (screened, which claims nothing):"
    if len(lines) <= IN_SIGHT + 1:
        return [head, "", *lines]
    return [head, "", *lines[:IN_SIGHT], "", *fold(f"{len(held) - IN_SIGHT} more", lines[IN_SIGHT:])]


def _singles(cells: list[CellReport], one: RoundReport, report: Report) -> str:
    """All in one line: a single run each is not worth more."""
    base = report.job(cells[0].base) if cells[0].base is not None else None
    value = report.lens.goal_name
    told = [f"job {cell.lead.id} {gap(cell.difference or 0.0)}" for cell in cells[:SINGLES]]
    more = f" and {len(cells) - SINGLES} more" if len(cells) > SINGLES else ""
    name = f"job {base.id} {code(base.name)}" if base else "the base"
    noise = report.noise(one.loop)
    width = reach(noise)
    worth = f"the noise floor is ±{deviation(width)}" if width is not None else "noise not known"
    return f"{code(value)} against {name}: {', '.join(told)}{more}. One seed each, {worth}."


def called(cell: CellReport, report: Report) -> str:
    """`job 7 `name``, or `jobs 7–9 `name``."""
    numbers = [job.id for job in cell.jobs]
    name = report.job(cell.lead.cell) if cell.lead.repeat else None
    return f"{listed(numbers)} {code((name or cell.lead).name)}"


def listed(numbers: Sequence[int]) -> str:
    """`job 7`, `jobs 7–9`, `jobs 3, 8–10, 14`."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    told = [str(span[0]) if len(span) == 1 else f"{span[0]}–{span[-1]}" for span in spans]
    return f"job{'s' if len(numbers) > 1 else ''} {', '.join(told)}"
