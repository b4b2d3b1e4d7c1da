"""Hosts the user's script in this process, as `run.py` asks for it.

The script meets what plain python would give it: `sys.argv`, `sys.path[0]`, a `__main__` that spawned children can
import again, tracebacks without our frames, the same exit code. What is added:

- wandb's log calls are mirrored (`mirror.py`), if the script ever imports wandb;
- SIGTERM ends it by SystemExit(143) in the main thread, so that `finally`, atexit and `wandb.finish` run. A script's
  own handler replaces ours. Another SIGTERM more than a second later kills (the first one often comes twice: by the
  group and by torchrun);
- an end other than 0 leaves its inner cause at $AUTO_LOOP_INNER (`schema.py`), as `accelerate launch` turns every
  failure into 1.

All of it holds in this process alone: what it forks has SIGTERM's default again and leaves no cause.
"""

from __future__ import annotations

import os
import sys

try:
    import _signal as signal  # type: ignore[import-not-found]  # has no stub
except ImportError:
    import signal  # the same names, behind enums that take time to build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType, ModuleType, TracebackType
    from typing import Any

TERMINATED = 128 + 15
SAME_REQUEST_S = 1.0
# What loads source files; importing importlib by its name would take time.
LOADER = type(globals()["__loader__"])
TRACEBACK_CHARACTERS = 8000


def main(main_module: ModuleType, starter: str) -> None:
    """Takes over `__main__`, of which `run.py`, the file `starter`, has no further need, and runs the script there."""
    folder = os.path.dirname(__file__)
    arguments = sys.argv[1:]
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments or arguments == ["-m"]:
        raise SystemExit("usage: run.py [--] SCRIPT args... | run.py -m MODULE args...")
    guard = Guard()
    guard.install()
    load("mirror", folder).install(os.path.join(folder, "site"))
    clear(main_module)
    try:
        if arguments[0] == "-m":
            run_module(arguments[1:], folder)
        else:
            run_script(arguments, main_module, folder)
    except BaseException as error:
        ours = (__file__, starter)
        guard.leave(error, ours)
        hide_frames(ours)
        raise


def load(name: str, folder: str) -> Any:
    """A neighbour of this file as a module that `sys.modules` never hears of (`run.py` loads this one likewise)."""
    file = os.path.join(folder, name + ".py")
    loader = LOADER("_auto_loop_" + name, file)
    module = type(sys)("_auto_loop_" + name)
    module.__file__ = file
    module.__loader__ = loader
    loader.exec_module(module)
    return module


def clear(module: ModuleType) -> None:
    """Leaves in `__main__` what a fresh one has."""
    for name in list(vars(module)):
        if not name.startswith("__"):
            del vars(module)[name]
    module.__doc__ = None


def run_script(arguments: list[str], main_module: ModuleType, folder: str) -> None:
    """What `python SCRIPT args...` does."""
    sys.argv[:] = arguments
    file = absolute(arguments[0])
    place_on_path(os.path.dirname(os.path.realpath(file)), folder)
    main_module.__file__ = file
    main_module.__loader__ = LOADER("__main__", file)
    exec(compiled(file), vars(main_module))  # noqa: S102 (this is what running a script is)


def run_module(arguments: list[str], folder: str) -> None:
    """What `python -m MODULE args...` does, by the very function that python itself calls."""
    import runpy

    sys.argv[:] = ["-m", *arguments[1:]]
    place_on_path(os.getcwd(), folder)
    runpy._run_module_as_main(arguments[0])  # type: ignore[attr-defined]  # what -m itself calls


def absolute(script: str) -> str:
    """`__file__` as python makes it: nothing is tidied."""
    return os.path.join(os.getcwd(), script)


def compiled(file: str) -> CodeType:
    """The script's code, or python's own words if there is no such file."""
    try:
        with open(file, "rb") as source:
            text = source.read()
    except OSError as error:
        reason = "[Errno %d] %s" % (error.errno or 0, error.strerror)
        sys.stderr.write("%s: can't open file %r: %s\n" % (sys.executable, file, reason))
        raise SystemExit(2) from None
    return compile(text, file, "exec", dont_inherit=True)


def place_on_path(first: str, folder: str) -> None:
    """Puts `first` where python had put our own folder; under -P and -I python puts nothing."""
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(folder):
        sys.path[0] = first


def hide_frames(ours: tuple[str, ...]) -> None:
    """Lets python print and end as ever, but with a traceback that begins in the script."""
    hook = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        trace = without(ours, trace)
        error.__traceback__ = trace
        sys.excepthook = hook
        hook(kind, error, trace)

    sys.excepthook = show


def without(ours: tuple[str, ...], trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the script's first frame on: the first that is of none of our files."""
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return trace


class Guard:
    """SIGTERM and the inner cause, for the one process that it was made in."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.inner = os.environ.get("AUTO_LOOP_INNER")
        self.terminated_at: float | None = None

    def install(self) -> None:
        """Takes SIGTERM, unless whoever started us had a plan for it (nohup-like: ignored stays ignored)."""
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self.on_sigterm)
            os.register_at_fork(after_in_child=self.let_go)

    def let_go(self) -> None:
        """In a forked child: SIGTERM kills it at once again, also while it is busy in C code."""
        # A bound method is a new object at each look, so compare by value.
        if signal.getsignal(signal.SIGTERM) == self.on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_sigterm(self, number: int, frame: FrameType | None) -> None:
        import time

        now = time.monotonic()
        if os.getpid() == self.pid and self.terminated_at is None:
            self.terminated_at = now
            raise SystemExit(TERMINATED)
        if os.getpid() != self.pid or now - (self.terminated_at or 0.0) > SAME_REQUEST_S:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def leave(self, error: BaseException, ours: tuple[str, ...]) -> None:
        """Writes the inner cause; never raises, as the script's own end is what matters."""
        if not self.inner or os.getpid() != self.pid:
            return
        code = exit_code(error)
        if code == 0:
            return
        try:
            self.write(error, code, ours)
        except Exception as trouble:  # noqa: BLE001 (the reason stands in the docstring)
            sys.stderr.write("auto_loop: the inner cause could not be left: %r\n" % trouble)

    def write(self, error: BaseException, code: int, ours: tuple[str, ...]) -> None:
        import json
        import time
        import traceback

        rank = os.environ.get("RANK", "0")
        rank_number = int(rank) if rank.isdigit() else 0
        lines = traceback.format_exception(type(error), error, without(ours, error.__traceback__))
        masked = load("masking", os.path.dirname(__file__)).masked
        cause = {
            "type": type(error).__name__,
            "message": masked(str(error))[:TRACEBACK_CHARACTERS],
            "traceback": masked("".join(lines))[-TRACEBACK_CHARACTERS:],
            "exit_code": code,
            "signal": "SIGTERM" if self.terminated_at is not None else None,
            "rank": rank_number,
            "pid": self.pid,
            "at": time.time(),
        }
        path = "%s.rank%d" % (self.inner, rank_number) if rank_number else str(self.inner)
        aside = "%s.%d" % (path, self.pid)
        with open(aside, "w", encoding="utf-8") as file:
            json.dump(cause, file)
        os.rename(aside, path)


def exit_code(error: BaseException) -> int:
    """What python will end with; 130 stands for the SIGINT by which it ends after Ctrl-C."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1
