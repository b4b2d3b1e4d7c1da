"""Runs found on disk, as one JSON mapping and as a table."""

import json
from collections.abc import Mapping
from pathlib import Path

from auto_loop.domain.config import Json
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.domain.summary import Summary, summary_to_json
from auto_loop.readers.runs import find_runs
from auto_loop.readers.summaries import summary_of
from auto_loop.workspace.files import write_aside

_SHOWN = 3  # metrics in a line of the table


def collect(root: Path, limit: int) -> tuple[dict[str, Summary], tuple[str, ...]]:
    """The newest runs below `root` by folder, the latest written first, and a line for each that had faults."""
    if not root.is_dir():
        raise MisuseError(Fault(what="no such folder", where=str(root), hint="--outputs-root names the folder of runs"))
    found: dict[str, Summary] = {}
    said: list[str] = []
    for folder in find_runs(root, limit):
        try:
            summary = summary_of(folder)
        except Exception as error:  # noqa: BLE001 (one broken run must not cost the others)
            said.append(f"{folder.as_posix()}: left out: {type(error).__name__}: {error}")
            continue
        if summary is None:
            said.append(f"{folder.as_posix()}: left out: no readable metrics")
        else:
            found[summary.run_dir] = summary
            said.extend(f"{summary.run_dir}: {note}" for note in summary.notes)
    return found, tuple(said)


def as_text(summaries: Mapping[str, Summary]) -> str:
    """The mapping of the contract as JSON text."""
    mapping: dict[str, Json] = {name: summary_to_json(summary) for name, summary in summaries.items()}
    return json.dumps(mapping, indent=2)  # ASCII: a folder's name need not be valid text


def write(file: Path, text: str) -> None:
    """Writes the text aside and renames it, so that nobody ever reads half of it."""
    try:
        write_aside(file, text + "\n")
    except OSError as error:
        raise MisuseError(Fault(what=f"cannot be written: {error.strerror}", where=str(file))) from error


def table(summaries: Mapping[str, Summary]) -> str:
    """One line a run: its folder, where it was read, and a few of its metrics."""
    if not summaries:
        return "No runs with readable metrics."
    width = max(len(name) for name in summaries)
    return "\n".join(f"{name:<{width}}  {_line(summary)}" for name, summary in summaries.items())


def _line(summary: Summary) -> str:
    known = [(name, stats) for name, stats in summary.metrics.items() if stats.best is not None]
    shown = (known or list(summary.metrics.items()))[:_SHOWN]
    texts = [f"{name} {stats.last:.4g}" for name, stats in shown if stats.last is not None]
    source = next(iter(summary.metrics.values())).source.value
    more = len(summary.metrics) - len(shown)
    return f"{source:<20}  {'  '.join(texts)}{f'  and {more} more' if more > 0 else ''}"
