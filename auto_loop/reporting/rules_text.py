"""The rules of a study in Markdown: what became of their proposals, and which could never be judged."""

from auto_loop.domain.track_record import TrackRecord, never_helps
from auto_loop.reporting import figures
from auto_loop.reporting.markdown import code, fold, inline, table
from auto_loop.reporting.rule_records import RuleReport, Unjudged
from auto_loop.reporting.told import Report

# Rules in sight; the rest is behind a fold. Rules named in a sentence, and what one lacked.
IN_SIGHT, NAMED, LACKED = 8, 8, 3


def rules(report: Report) -> list[str]:
    """The section with its title, or nothing where no rule was asked."""
    found = report.rules
    if not found.records and not found.unjudged:
        return []
    return ["## Rules and what became of them", "", *_records(found), *_useless(found), *_unjudged(found.unjudged)]


def _records(found: RuleReport) -> list[str]:
    if not found.records:
        return []
    header = ["Rule", "Fired", "Taken", "Measured", "Improved on its parent"]
    if not any(one.measured for one in found.records):
        header = header[:3]
    rows = [_row(one)[: len(header)] for one in found.records]
    lines = table(header, rows[: IN_SIGHT + 1])
    if len(rows) > IN_SIGHT + 1:
        more = figures.count(len(rows) - IN_SIGHT, "further rule")
        lines = [*table(header, rows[:IN_SIGHT]), "", *fold(more, table(header, rows[IN_SIGHT:]))]
    return [*lines, "", _what_it_means(found), ""]


def _what_it_means(found: RuleReport) -> str:
    if not any(one.measured for one in found.records):
        return "Whether they help is not measured: that takes several seeds, or a noise floor that several have shown."
    return (
        "*Measured*: held against the parent's runs, with the noise taken into account. This orders the rules' next"
        " proposals; no config is judged by it."
    )


def _row(one: TrackRecord) -> list[str]:
    return [code(one.rule), str(one.fired), str(one.accepted), str(one.measured), _share(one)]


def _share(one: TrackRecord) -> str:
    """`1 of 2 (50 %, 90 % interval 12 to 88 %)`."""
    if one.share is None or one.interval is None:
        return figures.NONE
    low, high = (round(100 * each) for each in one.interval)
    return f"{one.improved} of {one.measured} ({round(100 * one.share)} %, 90 % interval {low} to {high} %)"


def _useless(found: RuleReport) -> list[str]:
    names = [f"{code(one.rule)} (0 of {one.measured})" for one in found.records if never_helps(one)]
    if not names:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"Never helped in this study: {', '.join(names[:NAMED])}{more}.", ""]


def _unjudged(unjudged: tuple[Unjudged, ...]) -> list[str]:
    """Rules whose metrics were never there: a typing error in a pack looks just like this."""
    if not unjudged:
        return []
    head = "Never judged, since no run had what they ask for"
    lines = [f"- {'live rule ' if one.live else ''}{code(one.rule)} lacked {_lacked(one)}" for one in unjudged]
    if len(lines) <= 3:
        return [f"{head}:", "", *lines, ""]
    return [*fold(f"{head}: {figures.count(len(lines), 'rule')}", lines), ""]


def _lacked(one: Unjudged) -> str:
    more = f" and {len(one.lacked) - LACKED} more" if len(one.lacked) > LACKED else ""
    return ", ".join(code(inline(gap)) if "`" in gap else code(gap) for gap in one.lacked[:LACKED]) + more
