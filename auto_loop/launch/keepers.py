"""Starting keepers: the request goes through a pipe, so that the job's environment, keys included, touches no disk."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auto_loop.launch.base import LaunchRequest

# What a command leaves behind (a daemon, a server of its tracker) may save and upload for so long; then it is killed.
# Without a limit one forgotten daemon would hold its slot for the night.
LINGER_S = 600.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A keeper that was started ahead and reads its request when it comes."""

    pid: int
    pipe: int


class Keepers:
    """Starts keepers of one file, and holds `ahead` of them ready; one whose pipe closes unused ends by itself."""

    def __init__(self, keeper: Path, *, ahead: int) -> None:
        self._keeper = str(keeper)
        self._ahead = ahead
        self._python = ""
        self._waiting: list[_Waiting] = []

    def start(self, request: LaunchRequest, text: str) -> int:
        """The pid of the keeper that has been given `text`; OSError when no keeper could be started."""
        self._python = request.keeper_python
        while self._waiting and not request.held:
            waiting = self._waiting.pop()
            if _hand_over(waiting, text):
                return waiting.pid
            _reap(waiting.pid)
        try:
            fresh = self._spawn(request.keeper_python, request.held)
        finally:
            for descriptor in request.held:
                os.close(descriptor)
        if not _hand_over(fresh, text):
            _reap(fresh.pid)
            raise OSError(f"the keeper did not take its request: can {request.keeper_python} run {self._keeper}?")
        return fresh.pid

    def prepare(self) -> None:
        """Fills up the keepers held ready; they use the interpreter of the last request."""
        while self._python and len(self._waiting) < self._ahead:
            self._waiting.insert(0, self._spawn(self._python, ()))

    def close(self) -> None:
        """Dismisses the keepers held ready."""
        for waiting in self._waiting:
            os.close(waiting.pipe)
        for waiting in self._waiting:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(waiting.pid, 0)
        self._waiting.clear()

    def _spawn(self, python: str, held: tuple[int, ...]) -> _Waiting:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        argv = (python, "-I", "-S", self._keeper, "-")
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        actions = [(os.POSIX_SPAWN_DUP2, read_end, 0), (os.POSIX_SPAWN_DUP2, null, 1), *close_strangers()]
        try:
            with _inheritable(held):
                pid = os.posix_spawnp(python, argv, os.environ, file_actions=actions, setsid=True)
        except BaseException:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
            os.close(null)
        return _Waiting(pid, write_end)


def request_text(request: LaunchRequest, linger_s: float = LINGER_S) -> str:
    """The request as the keeper reads it (runner/schema.py names the fields)."""
    return json.dumps(
        {
            "attempt": request.attempt,
            "token": request.token,
            "argv": request.argv,
            "env": dict(request.env),
            "cwd": str(request.cwd),
            "log_file": str(request.log_file),
            "claim": str(request.claim_file),
            "exit": str(request.exit_file),
            "inner": str(request.inner_file),
            "lock_fds": request.held,
            "linger_s": linger_s,
        }
    )


def write_files(request: LaunchRequest) -> None:
    """Makes the folders of log and papers, and writes the request's files where they are not there already."""
    for file in (request.log_file, request.claim_file, request.exit_file, request.inner_file):
        file.parent.mkdir(parents=True, exist_ok=True)
    for folder in request.folders:
        folder.mkdir(parents=True, exist_ok=True)
    for file, text in request.files:
        with contextlib.suppress(FileNotFoundError):
            if file.read_text(encoding="utf-8") == text:
                continue
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f"{file.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.replace(file)


def close_strangers() -> list[tuple[int, int]]:
    """Closes in a child what the supervisor itself inherited: a shell's pipe or lock would live as long as the job."""
    above = (int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2)
    return [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in above if _is_inheritable(descriptor)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:  # the listing's own, closed by now
        return False


def _hand_over(waiting: _Waiting, text: str) -> bool:
    """Whether the keeper took the whole request."""
    try:
        with os.fdopen(waiting.pipe, "wb", buffering=0) as pipe:
            left = memoryview(text.encode())
            while left:
                left = left[pipe.write(left) :]
    except BrokenPipeError:
        return False
    return True


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextlib.contextmanager
def _inheritable(descriptors: tuple[int, ...]) -> Iterator[None]:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
