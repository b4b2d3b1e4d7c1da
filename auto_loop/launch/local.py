"""Attempts as processes of this machine: a keeper for each, watched by pidfd, so that a wait costs nothing.

A handle names a process by pid, start time and boot id. Every look opens the pidfd first and checks the start time
after, so that no reused pid is ever watched or signalled.
"""

import contextlib
import json
import os
import selectors
import signal as signals
import time
from collections.abc import Callable, Collection
from pathlib import Path

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch import processes
from auto_loop.launch.base import LaunchHook, LaunchRequest, Running, Signal, Status, Unknown, no_fault
from auto_loop.launch.command import RUNNER
from auto_loop.launch.keepers import LINGER_S, Keepers, close_strangers, request_text, write_files
from auto_loop.launch.stopping import ask, kill

NAME = "local"


class LocalLauncher:
    """Starts attempts here and sees them end, its own and those of a supervisor that is gone.

    What a command leaves behind is killed `linger_s` after its end. `fault` hears "before launch" and "after launch",
    where a crash test ends this process. `bare` starts commands without a keeper (a benchmark's measure of what the
    keeper costs): no claim, no exit file, nothing held.
    """

    def __init__(
        self,
        *,
        bare: bool = False,
        linger_s: float = LINGER_S,
        clock: Callable[[], float] = time.time,
        fault: LaunchHook = no_fault,
    ) -> None:
        self._bare = bare
        self._linger_s = linger_s
        self._clock = clock
        self._boot_id = processes.boot_id()
        self._fault = fault
        self._keepers = Keepers(RUNNER / "forkserver.py", NAME)
        self._endings: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Handle, tuple[int, ...]] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)

    @property
    def name(self) -> str:
        """`local`."""
        return NAME

    def launch(self, request: LaunchRequest) -> Handle:
        """The started attempt. Its log's folder is made; its output folder is not."""
        try:
            write_files(request)
            self._fault("before launch")
            handle = self._start_bare(request) if self._bare else self._start_kept(request)
        finally:
            for descriptor in request.held:
                os.close(descriptor)
        self._fault("after launch")
        return handle

    def prepare(self) -> None:
        """Replaces what keepers are started with, should somebody have killed it."""
        self._keepers.prepare()

    def poll(self, handle: Handle, exit_file: Path) -> Status:
        """Running while the keeper lives, then its exit.

        Without an exit it is Unknown until no process with the token lives, then an end that nobody saw: no returncode,
        no error. An `error` says why the command was not run at all.
        """
        if self._alive(handle):
            return Running()
        ended = self._exit(handle, exit_file)
        if ended is None:
            strays = self._strays(handle)
            if strays:
                self._watch(handle, strays)
                return Unknown(pids=strays)
            # The keeper may have written its exit between the two looks.
            ended = self._exit(handle, exit_file) or self._unseen(handle)
        self._forget(handle)
        return ended

    def wait(self, handles: Collection[Handle], timeout_s: float | None) -> frozenset[Handle]:
        """The handles whose keeper (or, without one, whose last known process) has ended."""
        for handle in [known for known in self._watched if known not in handles]:
            self._forget(handle)
        gone = frozenset(handle for handle in handles if handle not in self._watched and not self._watch_keeper(handle))
        events = self._selector.select(0 if gone else timeout_s)
        ended = {key.data for key, _ in events if key.data is not None}
        if any(key.data is None for key, _ in events):
            self._drain()
        return gone | ended

    def wake(self) -> None:
        """Ends a wait that is under way, or the next one."""
        with contextlib.suppress(BlockingIOError):  # full: a wake is already on its way
            os.write(self._wake_write, b"!")

    def signal(self, handle: Handle, signal: Signal) -> bool:
        """TERM goes to the trainer's main processes; KILL to every process of the attempt but its keeper.

        The keeper outlives its job, to leave the exit. False when nothing of the attempt was there any more.
        """
        keeper = handle.pid if self._alive(handle) else None
        if self._bare:
            return keeper is not None and _send(keeper, signal)
        runner = str(RUNNER / "run.py")
        match signal:
            case Signal.TERM:
                return ask(keeper, handle.reference, runner)
            case Signal.KILL:
                return kill(keeper, handle.reference)

    def close(self) -> None:
        """Lets go of descriptors and of what keepers are started with; running attempts go on."""
        for handle in list(self._watched):
            self._forget(handle)
        self._keepers.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _alive(self, handle: Handle) -> bool:
        """Whether the very process of the handle runs; one that ended is reaped if it was our child."""
        if handle.boot_id != self._boot_id:
            return False
        found = processes.process(handle.pid)
        if found is None or found.start_time != handle.start_time:
            return False
        if not found.ended:
            return True
        with contextlib.suppress(ChildProcessError):  # a keeper is somebody else's to reap
            pid, status = os.waitpid(handle.pid, os.WNOHANG)
            if pid:
                self._endings[pid] = os.waitstatus_to_exitcode(status)
        return False

    def _exit(self, handle: Handle, exit_file: Path) -> Exit | None:
        if self._bare:
            return Exit(returncode=self._endings.pop(handle.pid, None), ended_at=self._clock())
        return read_exit(exit_file, handle.reference)

    def _unseen(self, handle: Handle) -> Exit:
        error = "" if handle.boot_id == self._boot_id else "the machine was restarted while it ran"
        return Exit(returncode=None, ended_at=self._clock(), error=error)

    def _strays(self, handle: Handle) -> tuple[int, ...]:
        if handle.boot_id != self._boot_id:
            return ()
        return tuple(sorted(processes.tree(None, handle.reference)))

    def _watch_keeper(self, handle: Handle) -> bool:
        """Whether the handle's process is there and watched from now on."""
        if handle.boot_id != self._boot_id:
            return False
        self._watch(handle, (handle.pid,))
        found = processes.process(handle.pid)
        if handle in self._watched and found is not None and found.start_time == handle.start_time:
            return True
        self._forget(handle)
        return False

    def _watch(self, handle: Handle, pids: tuple[int, ...]) -> None:
        self._forget(handle)
        descriptors = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
        for descriptor in descriptors:
            self._selector.register(descriptor, selectors.EVENT_READ, handle)
        if descriptors:
            self._watched[handle] = tuple(descriptors)

    def _forget(self, handle: Handle) -> None:
        for descriptor in self._watched.pop(handle, ()):
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 64):
                pass

    def _start_kept(self, request: LaunchRequest) -> Handle:
        return self._keepers.launch(request, request_text(request, self._linger_s))

    def _start_bare(self, request: LaunchRequest) -> Handle:
        if request.cwd.resolve() != Path.cwd():
            raise ValueError("a bare command starts in the supervisor's own folder")
        log = os.open(request.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2), *close_strangers()]
            pid = os.posix_spawnp(request.argv[0], request.argv, dict(request.env), file_actions=actions, setsid=True)
        finally:
            os.close(log)
        started = processes.process(pid)
        if started is None:
            raise ProcessLookupError(f"process {pid} was gone before it was seen: another wait() reaped it")
        return Handle(
            launcher=NAME, pid=pid, start_time=started.start_time, boot_id=self._boot_id, reference=request.token
        )


_BEYOND = 10**12


def read_exit(file: Path, token: str) -> Exit | None:
    """What the keeper left; None when there is nothing, when it is another attempt's, and when it is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("token") != token:
        return None
    returncode, ended_at, leader = found.get("returncode", ""), found.get("ended_at", ""), found.get("leader_ended_at")
    if not (returncode is None or _is_number(returncode, int)) or not _is_number(ended_at, int, float):
        return None
    return Exit(
        returncode=returncode,
        ended_at=ended_at,
        inner=inner_cause(found.get("inner")),
        error=str(found.get("error") or ""),
        leader_ended_at=leader if _is_number(leader, int, float) else None,
    )


def _is_number(value: object, *kinds: type) -> bool:
    """Whether it is of these very types (a bool is no number) and not beyond what an exit can hold; NaN is beyond."""
    return type(value) in kinds and -_BEYOND < value < _BEYOND  # type: ignore[operator]  # the types are numbers


def inner_cause(inner: object) -> str:
    """The cause from inside the trainer as one line, `Type: message`."""
    if not isinstance(inner, dict):
        return ""
    if inner.get("signal"):
        return f"ended by {inner['signal']}"
    kind, message = str(inner.get("type") or ""), str(inner.get("message") or "").strip()
    return f"{kind}: {message}" if kind and message else kind or message


def _send(pid: int, signal: Signal) -> bool:
    try:
        os.kill(pid, signals.SIGTERM if signal is Signal.TERM else signals.SIGKILL)
    except ProcessLookupError:
        return False
    return True
