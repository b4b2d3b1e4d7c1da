"""Where W&B keeps a run's files: `wandb/run-<time>-<id>/`, `offline-run-…` for offline ones, twice for a resumed run.

The words here are W&B's: a *run* is one of its runs, of which an output folder can hold several.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"(?P<offline>offline-)?run-(?:(?P<time>\d{8}_\d{6})-)?(?P<id>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """One folder that a W&B client wrote."""

    folder: Path
    run_id: str
    offline: bool
    time: str


def run_folders(folder: Path) -> tuple[tuple[RunFolder, ...], ...]:
    """The W&B runs below an output folder, newest first; each with its folders, oldest first.

    `folder` may also be the `wandb` folder itself, or one run's folder, which stands for its resumptions too.
    `latest-run` is a link to one of them and adds a folder only if it leads elsewhere; it can be missing.
    """
    found: dict[Path, RunFolder] = {}
    for candidate in sorted(_candidates(folder), key=Path.is_symlink):  # links last: they name what is there already
        one = _run_folder(candidate)
        if one is not None:
            found.setdefault(one.folder.resolve(), one)
    by_id: dict[str, list[RunFolder]] = {}
    for one in sorted(found.values(), key=lambda one: (one.time, one.folder.name)):
        by_id.setdefault(one.run_id, []).append(one)
    return tuple(sorted((tuple(ones) for ones in by_id.values()), key=lambda ones: ones[-1].time, reverse=True))


def _candidates(folder: Path) -> list[Path]:
    if is_run_folder(folder):
        return _with_same_id(folder)
    parents = [folder / "wandb", folder] if folder.name == "wandb" else [folder / "wandb"]
    return [child for parent in parents for child in _children(parent)]


def _with_same_id(folder: Path) -> list[Path]:
    """A run's folder and those beside it that a resumption made."""
    named = _NAME.fullmatch(folder.name)
    if named is None or not named["time"]:
        return [folder]
    beside = ((child, _NAME.fullmatch(child.name)) for child in _children(folder.parent))
    return [child for child, other in beside if other and other["time"] and other["id"] == named["id"]]


def is_run_folder(folder: Path) -> bool:
    """Whether this folder is one run of a W&B client (rather than an output folder that holds such)."""
    named = _NAME.fullmatch(folder.name)
    if (named and named["time"]) or folder.name == "latest-run":
        return not (folder / "wandb").is_dir()  # an output folder may be called so too
    return any(folder.glob("run-*.wandb"))


def _children(parent: Path) -> list[Path]:
    try:
        return [child for child in sorted(parent.iterdir()) if "run" in child.name and child.is_dir()]
    except OSError:
        return []


def _run_folder(candidate: Path) -> RunFolder | None:
    """The run folder behind a path; what has no W&B name is known by its `.wandb` file, or as `latest-run`."""
    try:
        real = candidate.resolve(strict=True) if candidate.is_symlink() else candidate
    except (OSError, RuntimeError):  # a link to nowhere, or to itself
        return None
    if named := _NAME.fullmatch(real.name):
        return RunFolder(folder=real, run_id=named["id"], offline=bool(named["offline"]), time=named["time"] or "")
    data = next(iter(sorted(real.glob("run-*.wandb"))), None)
    if data is not None:
        return RunFolder(folder=real, run_id=data.stem.removeprefix("run-"), offline=False, time="")
    return RunFolder(folder=real, run_id="", offline=False, time="") if candidate.name == "latest-run" else None
