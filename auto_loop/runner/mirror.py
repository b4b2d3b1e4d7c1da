"""Mirrors each wandb log call into `<run folder>/files/wandb-history.jsonl`, which wandb has not written since 2020.

`install` only waits: when the process imports `wandb.sdk.wandb_run`, its `Run._log` is wrapped (`wandb.log`,
`run.log`, wandb's own TensorBoard and torch hooks all come through it). Each call appends one line with one write, so
that a SIGKILL loses nothing that was logged. Rows are explained in `schema.py`. Whatever goes wrong here is said once
and otherwise swallowed: the mirror may never break, and hardly slow, the training it watches.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any

HISTORY = "wandb-history.jsonl"
LARGEST_LIST = 32  # wandb turns longer arrays into histograms
MOST_OPEN_FILES = 8
WATCHED = "wandb.sdk.wandb_run"
# Marks what is ours: a child may get the mirror by `sitecustomize` and again by `run.py`, as two modules.
OURS = "_mirrors_wandb_for_auto_loop"
# Imported when a process is about to start another interpreter, which then has to mirror too.
SPAWNING = ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")


def install(site_folder: str) -> None:
    """From now on wandb is mirrored, here and in python children, whom the `sitecustomize` in `site_folder` reaches."""
    if WATCHED in sys.modules:
        attach(sys.modules[WATCHED])
    elif not any(getattr(finder, OURS, False) for finder in sys.meta_path):
        sys.meta_path.insert(0, Watch(site_folder))


class Watch:
    """Finds nothing itself; sees which module is looked for, and lets the true loader's work be followed by ours."""

    def __init__(self, site_folder: str) -> None:
        self.site_folder = site_folder
        setattr(self, OURS, True)

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        if name == WATCHED:
            try:
                self.reach_children()
                return self.followed(name, path, target)
            except Exception as error:  # noqa: BLE001 (wandb is imported, mirrored or not)
                complain(error)
        elif name in SPAWNING:
            self.reach_children()
        return None

    def followed(self, name: str, path: Any, target: ModuleType | None) -> Any:
        for finder in list(sys.meta_path):
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                follow(spec.loader)
                return spec
        return None

    def reach_children(self) -> None:
        """Later children find our `sitecustomize` first; a shadowed one is chained there."""
        old = os.environ.get("PYTHONPATH", "")
        if self.site_folder not in old.split(os.pathsep):
            os.environ["PYTHONPATH"] = self.site_folder + (os.pathsep + old if old else "")


def follow(loader: Any) -> None:
    """Lets the loader run the module once, then attaches to it."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module
        execute(module)
        try:
            attach(module)
        except Exception as error:  # noqa: BLE001 (a wandb that we do not know must work all the same)
            complain(error)

    loader.exec_module = exec_module


def attach(module: ModuleType) -> None:
    """Wraps the log method of wandb's `Run`, and keeps our file out of the upload, whose own history has this name."""
    import functools

    globs = [glob for glob in os.environ.get("WANDB_IGNORE_GLOBS", "").split(",") if glob]
    if HISTORY not in globs:
        os.environ["WANDB_IGNORE_GLOBS"] = ",".join([*globs, HISTORY])
    run_class: Any = module.Run
    name = "_log" if hasattr(run_class, "_log") else "log"
    log = getattr(run_class, name)
    if getattr(log, OURS, False):
        return
    tapes = Tapes()

    @functools.wraps(log)
    def mirrored(run: Any, *args: Any, **kwargs: Any) -> Any:
        tape = tapes.of(run)
        result = log(run, *args, **kwargs)
        if tape is not None:
            tape.take(*args, **kwargs)
        return result

    setattr(mirrored, OURS, True)
    setattr(run_class, name, mirrored)


class Tapes:
    """One tape for each run object, for as long as that lives."""

    def __init__(self) -> None:
        import weakref

        self.by_run: Any = weakref.WeakKeyDictionary()
        self.open: list[Tape] = []

    def of(self, run: Any) -> Tape | None:
        try:
            tape = self.by_run.get(run)
            if tape is None:
                tape = self.by_run[run] = Tape(run, self.opened)
            return tape  # type: ignore[no-any-return]  # a weak mapping of Any
        except Exception as error:  # noqa: BLE001 (never break the training)
            complain(error)
            return None

    def opened(self, tape: Tape) -> None:
        """A process that makes runs by the hundred keeps only the newest files open."""
        self.open.append(tape)
        if len(self.open) > MOST_OPEN_FILES:
            self.open.pop(0).close()


class Tape:
    """The history file of one run, and the step that wandb's backend is at.

    The step is counted as the backend counts it, not read from the run: its own counter goes wrong on a late step
    with `commit`.
    """

    def __init__(self, run: Any, opened: Callable[[Tape], None]) -> None:
        import json
        import time

        self.now = time.time
        self.encode = json.JSONEncoder(default=plain).encode
        self.opened = opened
        self.file = ""
        self.descriptor = -1
        self.identity = (0, 0)
        self.torn = False
        self.broken = would_be_uploaded(run._settings)
        if self.broken:
            complain(ValueError("the run's own ignore_globs lack " + HISTORY))
        self.at: int = getattr(run, "_local_step", None) or getattr(run, "_step", None) or 0
        self.settings = run._settings
        self.began = run._start_time - (getattr(run, "_start_runtime", 0) or 0)

    def take(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None, *_: Any, **__: Any
    ) -> None:
        """Writes one call's row, after wandb has taken it."""
        if self.broken:
            return
        try:
            self.write(self.row(data, step, commit))
        except Exception as error:  # noqa: BLE001 (never break the training)
            self.broken = isinstance(error, OSError)
            complain(error)

    def row(self, data: Mapping[str, Any], step: int | None, commit: bool | None) -> dict[str, Any]:
        if step is not None and steps_are_tensorboards():
            step = None
        now = self.now()
        row: dict[str, Any] = {"_step": self.at, "_runtime": now - self.began, "_timestamp": now}
        if step is not None:
            row["_step"] = step
            if step < self.at:
                row["_late"] = True
            self.at = max(self.at, step)
        row.update((key, data[key]) for key in data if key not in ("_step", "_runtime"))
        if "_late" not in row and (commit or (commit is None and step is None)):
            self.at += 1
        return row

    def write(self, row: dict[str, Any]) -> None:
        line = (self.encode(row) + "\n").encode()
        if not self.is_open():
            self.reopen()
        if self.torn:
            line = b"\n" + line
        self.torn = os.write(self.descriptor, line) < len(line)

    def is_open(self) -> bool:
        """Whether the descriptor is still ours: a script may have closed it, and got its number for another file."""
        if self.descriptor < 0:
            return False
        try:
            status = os.fstat(self.descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def reopen(self) -> None:
        self.file = self.file or os.path.join(str(self.settings.files_dir), HISTORY)
        self.descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        status = os.fstat(self.descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.torn = status.st_size > 0 and os.pread(self.descriptor, 1, status.st_size - 1) != b"\n"
        self.opened(self)

    def close(self) -> None:
        if self.is_open():
            os.close(self.descriptor)
        self.descriptor = -1

    def __del__(self) -> None:
        self.close()


def would_be_uploaded(settings: Any) -> bool:
    """Before 0.18 wandb uploaded what lay in the folder, over its own history; a script's own globs replace ours."""
    version = getattr(sys.modules.get("wandb"), "__version__", "1").split(".")
    old = version[0] == "0" and int(version[1]) < 18
    return old and not settings._offline and HISTORY not in (settings.ignore_globs or ())


def steps_are_tensorboards() -> bool:
    """With wandb's TensorBoard hook in place, wandb ignores the steps that it is given."""
    patched = getattr(sys.modules.get("wandb"), "patched", None) or {}
    return bool(patched.get("tensorboard"))


def plain(value: Any) -> Any:
    """What JSON does not know, as wandb writes it: arrays as scalars or short lists; of media the type alone."""
    media = getattr(value, "_log_type", None)
    if media == "histogram" and hasattr(value, "bins"):
        return {"_type": "histogram", "values": value.histogram, "bins": value.bins}
    if media is not None:
        return {"_type": media}
    if hasattr(value, "tolist"):
        size = value.numel() if hasattr(value, "numel") else getattr(value, "size", 1)
        if size == 1 and hasattr(value, "item"):
            return value.item()
        return value.tolist() if size <= LARGEST_LIST else {"_type": "histogram"}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (set, frozenset, range)):
        return list(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "items"):
        return dict(value)
    return {"_type": type(value).__name__}


def complain(error: BaseException, said: set[str] = set()) -> None:  # noqa: B006 (one memory for the whole process)
    """Says each kind of trouble once."""
    kind = type(error).__name__
    if kind not in said and sys.stderr is not None:
        said.add(kind)
        try:
            sys.stderr.write("auto_loop: wandb's history is not (wholly) mirrored: %s: %s\n" % (kind, error))
        except Exception:  # noqa: BLE001 (nowhere left to say it)
            return
