"""One call for outside scripts: the history in a file or a run's folder, whatever kind it is."""

from collections.abc import Mapping
from pathlib import Path

from auto_loop.domain.series import Series, Source
from auto_loop.readers import wandb_history, windows
from auto_loop.readers.files import Scanner, gather
from auto_loop.readers.registry import read_run
from auto_loop.readers.wandb_datastore import DatastoreRows


def parse_history(place: Path | str) -> Mapping[str, Series]:
    """The series by name in `place`: a run's folder, a `wandb-history.jsonl`, any other `.jsonl`, or a `.wandb` file.

    Empty when there are none. For the notes on what was damaged, use `read_run`.
    """
    path = Path(place)
    if path.is_dir():
        reading = read_run(path)
        return reading.series if reading else {}
    scanner, source = _kind(path)
    return gather((path,), scanner, source).series


def _kind(file: Path) -> tuple[Scanner, Source]:
    if file.suffix == ".wandb":
        return DatastoreRows, Source.WANDB
    if file.name == "wandb-history.jsonl":
        return wandb_history.scan, Source.MIRROR
    return windows.scan, Source.METRICS
