"""Finds runs below any folder, newest first by last write, and says what each of them was told to do.

A run is an output folder that holds metrics of any kind; what W&B keeps inside it belongs to it. Only where the
searched folder itself has a `wandb` folder with several W&B runs, as plain scripts leave it, is each of these a run.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.config import Config
from auto_loop.readers.json_lines import parse_object
from auto_loop.readers.run_folders import is_run_folder, run_folders
from auto_loop.readers.windows import PLACES as JSONL_PLACES

# Whole trees of other things: not searched.
NOT_SEARCHED = frozenset({"checkpoints", "checkpoint", "pretrained_model", "__pycache__", "node_modules", "metrics"})
CONFIG_FILES = ("train_config.json", "config.json")
_METRIC_FILES = (".wandb", "wandb-history.jsonl", "wandb-summary.json")


def find_runs(root: Path, limit: int) -> list[Path]:
    """The newest `limit` run folders below `root` (or `root` itself), the latest written first."""
    dated = sorted(((written, folder) for folder, written in _runs(root)), key=lambda one: (-one[0], str(one[1])))
    return [folder for _, folder in dated[: max(limit, 0)]]


def _runs(root: Path) -> Iterator[tuple[Path, float]]:
    """Each run folder with the time of the last write to any of its metrics."""
    scripts = run_folders(root)
    if len(scripts) > 1:
        yield from ((run[-1].folder, last_write(run[-1].folder) or 0.0) for run in scripts)
        if root.name == "wandb":
            return
    for path, names, _ in os.walk(root):
        folder = Path(path)
        written = last_write(folder)
        if written is not None and not (len(scripts) > 1 and folder == root):
            yield folder, written
        names[:] = sorted(name for name in names if not _is_left_out(folder, name))


def _is_left_out(folder: Path, name: str) -> bool:
    if name == "wandb":  # belongs to the folder around it
        return True
    return name in NOT_SEARCHED or name.startswith(".") or (name in ("files", "logs", "tmp") and is_run_folder(folder))


def last_write(folder: Path) -> float | None:
    """When any metrics of the run in `folder` were written last (unix seconds), or None when it is no run."""
    times = [_mtime(folder / place) for place in JSONL_PLACES]
    runs = [folder] if is_run_folder(folder) else _entries(folder / "wandb")
    for run in runs:
        times.extend(_mtime(file) for file in (*_entries(run), *_entries(run / "files")) if _is_metrics(file))
    return max((time for time in times if time is not None), default=None)


def _is_metrics(file: Path) -> bool:
    return file.name.endswith(_METRIC_FILES)


def _entries(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder)]
    except OSError:
        return []


def _mtime(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundConfig:
    """A config and the file that it was read from."""

    config: Config
    file: str


def find_config(folder: Path) -> FoundConfig | None:
    """The config that a run's folder holds: the run's own, else the one in its newest checkpoint."""
    places = [folder / name for name in CONFIG_FILES]
    checkpoints = [path for path in _entries(folder / "checkpoints") if path.name != "last"]
    for checkpoint in sorted(checkpoints, key=lambda path: path.name, reverse=True):
        places.append(checkpoint / "pretrained_model" / "train_config.json")
    found = (FoundConfig(config=config, file=place.as_posix()) for place in places if (config := _config_in(place)))
    return next(found, None)


def _config_in(file: Path) -> Config | None:
    try:
        data = parse_object(file.read_bytes())
    except OSError:
        return None
    return None if data is None else Config.of(data)
