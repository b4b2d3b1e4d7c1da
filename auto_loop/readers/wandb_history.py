"""Reads `wandb-history.jsonl`: the file that the runner's mirror makes true again, and that clients before 0.10 wrote.

One line is one log call, or one key of it: `{"_step": 3, "_runtime": …, "_timestamp": …, "train/loss": 0.5}`. Lines of
one step are one row, the later wins.
"""

from collections.abc import Sequence
from pathlib import Path

from auto_loop.domain.series import Source
from auto_loop.readers.base import FilePlace
from auto_loop.readers.json_lines import JsonRows, Style
from auto_loop.readers.run_folders import RunFolder
from auto_loop.readers.wandb_runs import WandbRuns

_STYLE = Style(separator=".", own_steps=False)
PLACES = ("files/wandb-history.jsonl", "wandb-history.jsonl")


def _files(run: Sequence[RunFolder]) -> tuple[Path, ...]:
    """One history file a folder of the run, oldest folder first."""
    found = (next((one.folder / place for place in PLACES if (one.folder / place).is_file()), None) for one in run)
    return tuple(file for file in found if file is not None)


def scan(file: Path, begin: FilePlace, limit: int | None) -> JsonRows:
    """The rows of one such file from a place on."""
    return JsonRows(file, begin, _STYLE, limit)


def wandb_history() -> WandbRuns:
    """The reader of mirrored and legacy histories."""
    places = tuple(f"wandb/*run*/{place}" for place in PLACES)
    return WandbRuns(source=Source.MIRROR, places=places, files_of=_files, scanner=scan)
