"""The report's files, each written aside and renamed, so that a reader never meets half of one."""

from collections.abc import Iterable
from datetime import UTC, tzinfo
from pathlib import Path

from auto_loop.reporting.to_json import to_json
from auto_loop.reporting.to_markdown import to_markdown
from auto_loop.reporting.told import Report
from auto_loop.workspace.files import write_aside


def write_markdown(report: Report, file: Path, zone: tzinfo = UTC) -> None:
    """Write one study's report to `file`."""
    write_aside(file, to_markdown(report, zone))


def write_summary(reports: Iterable[Report], file: Path) -> None:
    """Write the summary of all studies to `file`."""
    write_aside(file, to_json(reports))
