"""What a round showed, in Markdown: causes in the pack's words, and what was predicted against what was measured."""

import math

from auto_loop.reporting import figures
from auto_loop.reporting.effect_text import listed
from auto_loop.reporting.foresight import HIT_NATS, Foreseen
from auto_loop.reporting.markdown import code, cut, fold, inline, table
from auto_loop.reporting.told import Diagnosed, LoopReport, Report, RoundReport

# Causes and predictions told in the opening; rows in sight in a round, and behind the fold.
CAUSES, PREDICTIONS, IN_SIGHT, FOLDED = 3, 3, 8, 100
_WIDTH = 240


def diagnosis_line(loop: LoopReport) -> list[str]:
    """List items of the opening: the causes that the first runs showed, and the newest; each once with its jobs."""
    shown = [one for one in loop.rounds if one.diagnosed]
    if not shown:
        return []
    first, newest = shown[0], shown[-1]
    new = tuple(one for one in newest.diagnosed if one not in first.diagnosed)
    later = _diagnosed_after(newest, new) if newest is not first and new else []
    return [*_diagnosed_after(first, first.diagnosed), *later]


def _diagnosed_after(one: RoundReport, found: tuple[Diagnosed, ...]) -> list[str]:
    causes = _by_cause(found)
    told = [_cause(name, found) for name, found in list(causes.items())[:CAUSES]]
    if len(told) == 1:
        return [f"- **Diagnosis** after round {one.number}: {told[0]}"]
    more = [f"  - and {len(causes) - CAUSES} more, below"] if len(causes) > CAUSES else []
    return [f"- **Diagnosis** after round {one.number}:", *(f"  - {each}" for each in told), *more]


def diagnoses(one: RoundReport) -> list[str]:
    """All that the round's parents showed."""
    if not one.diagnosed:
        return []
    causes = list(_by_cause(one.diagnosed).items())
    return ["What the runs showed:", "", *(f"- {_cause(name, found)}" for name, found in causes), ""]


def _by_cause(found: tuple[Diagnosed, ...]) -> dict[str, list[Diagnosed]]:
    causes: dict[str, list[Diagnosed]] = {}
    for each in found:
        causes.setdefault(each.name, []).append(each)
    return causes


def _cause(name: str, found: list[Diagnosed]) -> str:
    """`cost far above s (jobs 1, 2): the cost is 447 times s`; of several jobs the first one's words."""
    first = f"; here of job {found[0].job}" if len({each.text for each in found}) > 1 else ""
    jobs = listed(sorted({each.job for each in found}))
    return f"**{inline(name)}** ({jobs}{first}): {inline(cut(found[0].text, _WIDTH))}"


def predicted_line(loop: LoopReport) -> list[str]:
    """List items of the opening: how the pack's laws did."""
    found = [each for job in loop.jobs for each in job.foreseen]
    if not found:
        return []
    known = [each for each in found if each.hit is not None]
    hits = sum(bool(each.hit) for each in known)
    waiting = sum(each.waits for each in found)
    score = f"{hits} of {len(known)} within a factor of e" if known else "nothing measured yet"
    tail = f"; {waiting} to be measured" if waiting and known else ""
    shown = [each for each in known if each.aimed][::-1] or known[::-1]  # what was aimed at tells most
    lines = [f"  - job {each.child}: {_in_words(each)}" for each in shown[:PREDICTIONS]]
    return [f"- **Predicted against measured**: {score}{tail}{':' if lines else '.'}", *lines]


def predictions(one: RoundReport, report: Report) -> list[str]:
    """The round's predictions as a table: what the laws expected of its configs, and what they came to."""
    found = [each for job in one.jobs for each in job.foreseen]
    if not found:
        return []
    rows = [_row(each, report) for each in found[: IN_SIGHT + FOLDED]]
    header = ["Job", "Metric", "Predicted", "Measured", "Difference", "Hit?"]
    if len(rows) <= IN_SIGHT + 2:
        lines = table(header, rows)
    else:
        which = figures.count(len(found) - IN_SIGHT, "further prediction")
        lines = [*table(header, rows[:IN_SIGHT]), "", *fold(which, table(header, rows[IN_SIGHT:]))]
    factor = f"a factor of {math.exp(HIT_NATS):.2g}" if HIT_NATS != 1 else "a factor of e"
    note = f"A hit lies within {figures.count(round(HIT_NATS), 'nat')} ({factor}) of what the pack's law predicted."
    return ["Predicted against measured:", "", *lines, "", note, ""]


def _row(one: Foreseen, report: Report) -> list[str]:
    job = report.job(one.child)
    return [
        f"{one.child} {code(cut(job.name, 40))}" if job else str(one.child),
        code(one.metric),
        _value(one.predicted, one),
        _measured(one, report),
        _difference(one),
        figures.NONE if one.hit is None else "hit" if one.hit else "miss",
    ]


def _in_words(one: Foreseen) -> str:
    """`train/ot_pi_sum` predicted 0.1, measured 0.083 (−0.19 nats): hit."""
    apart = f" ({_difference(one)})" if one.nats is not None else ""
    return (
        f"{code(one.metric)} predicted {_value(one.predicted, one)}, measured {_value(one.measured, one)}{apart}:"
        f" {'hit' if one.hit else 'miss'}"
    )


def _measured(one: Foreseen, report: Report) -> str:
    if one.measured is not None:
        runs = f", median of {one.runs} runs" if one.runs > 1 else ""
        return f"{_value(one.measured, one)}{runs}"
    job = report.job(one.child)
    if one.waits or job is None:
        return "to be measured"
    ended = f" ({job.outcome})" if job.outcome else ""
    return f"not measured{ended}"


def _value(value: float | None, one: Foreseen) -> str:
    """A value; of a logarithm also what it is the logarithm of."""
    if value is None or not one.log_of:
        return figures.number(value)
    return f"{figures.number(value)} ({code(one.log_of)} {_exp(value)})"


def _exp(nats: float) -> str:
    """E to that power, also where a float has no room for it."""
    if -700 < nats < 700:
        return figures.number(math.exp(nats))
    return f"1e{round(nats / math.log(10))}"


def _difference(one: Foreseen) -> str:
    if one.nats is not None:
        return f"{figures.signed(float(f'{one.nats:.2g}'))} nats"
    return figures.signed(one.difference)
