"""Launching keepers: a fork server for each interpreter, and what one launch says to it and hears.

The request goes through a socket, so that the job's environment, keys included, touches no disk.
"""

import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from auto_loop.domain.errors import AutoLoopError, Fault
from auto_loop.domain.job import Handle
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.claims import claimed, handle_of

# What a command leaves behind (a daemon, a server of its tracker) may save and upload for so long; then it is killed.
# Without a limit one forgotten daemon would hold its slot for the night.
LINGER_S = 600.0
_PATIENCE_S = 60.0  # for an answer: a server that was stopped, or a disk that hangs, must not hold the loop for ever
_READY = b"ready"


class Keepers:
    """Launches keepers through fork servers, which it starts when they are needed; `launcher` is named in handles."""

    def __init__(self, server_file: Path, launcher: str) -> None:
        self._server_file = server_file
        self._launcher = launcher
        self._servers: dict[str, _Server] = {}

    def launch(self, request: LaunchRequest, text: str) -> Handle:
        """The handle of the keeper that has claimed the attempt; OSError when there is none and never will be."""
        answer = self._ask(request, text.encode())
        if answer is None:
            return self._decided_by_claim(request)
        if answer["error"]:
            raise OSError(answer["error"])
        return handle_of(answer["claim"], self._launcher)

    def prepare(self) -> None:
        """Replaces servers that have ended, so that the next launch need not."""
        for python in [python for python, server in self._servers.items() if server.ended()]:
            self._dismiss(python)
            with contextlib.suppress(OSError):  # the next launch says it, of its own attempt
                self._servers[python] = _Server(python, self._server_file)

    def close(self) -> None:
        """Ends the servers; their keepers go on."""
        for python in list(self._servers):
            self._dismiss(python)

    def _ask(self, request: LaunchRequest, text: bytes) -> dict[str, Any] | None:
        """The answer to one launch, or None when nobody knows what became of it."""
        python = request.keeper_python
        known = python in self._servers
        if not known:
            self._servers[python] = _Server(python, self._server_file)
        try:
            answer = self._servers[python].ask(text, request.held)
        except ConnectionError:  # it has ended before the request went out: nothing is lost yet
            self._dismiss(python)
            if not known:
                raise
            return self._ask(request, text)
        except OSError:
            self._dismiss(python)
            raise
        if answer is None:
            self._dismiss(python)
        return answer

    def _decided_by_claim(self, request: LaunchRequest) -> Handle:
        """As after a crash: a tombstone forbids what was not claimed, whoever may still be about to try.

        Where none can be made (a full disk) it may run or not. That is no end of the attempt, and no OSError: it would
        be tried again beside itself.
        """
        try:
            found = claimed(request.claim_file, self._launcher, request.token)
        except OSError as error:
            what = f"nobody can tell whether the attempt was started: {error.strerror or error}"
            hint = "mend that, then go on with --resume; it is not started twice"
            raise AutoLoopError(Fault(what=what, where=str(request.claim_file), hint=hint)) from error
        if found is None:
            raise OSError("its keeper ended before it had claimed the attempt: was it, or its server, killed?")
        if found.reference != request.token:
            raise OSError("the attempt was already claimed")
        return found

    def _dismiss(self, python: str) -> None:
        self._servers.pop(python).close()


class _Server:
    """One running `forkserver.py`, and our end of the socket pair on which it takes requests, one at a time."""

    def __init__(self, python: str, file: Path) -> None:
        self._what = f"{python} {file}"
        self._ready = False
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE_S)
        try:
            with theirs:
                self._pid = _spawn((python, "-I", "-S", str(file)), theirs.fileno())
        except BaseException:
            self._channel.close()
            raise
        # Its number may be reused once it has been waited for, by whomever; this cannot be.
        self._process = os.pidfd_open(self._pid)

    def ask(self, text: bytes, held: tuple[int, ...]) -> dict[str, Any] | None:
        """The keeper's answer; None when none came. ConnectionError when the server took nothing."""
        self._await_ready()
        mine, theirs = socket.socketpair()
        with mine:
            mine.settimeout(_PATIENCE_S)
            with theirs:
                socket.send_fds(self._channel, [b"!"], [theirs.fileno(), *held])
            try:
                mine.sendall(text)
                mine.shutdown(socket.SHUT_WR)
                return _line(mine)
            except (OSError, ValueError):
                return None

    def ended(self) -> bool:
        """Whether the server is gone."""
        try:
            return os.waitid(os.P_PIDFD, self._process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def close(self) -> None:
        """Ends the server at once: no launch of ours is on its way, and its keepers are processes of their own."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        os.close(self._process)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _await_ready(self) -> None:
        if self._ready:
            return
        said = b""
        with contextlib.suppress(ConnectionError):
            said = self._channel.recv(len(_READY))
        if said != _READY:
            raise ConnectionError(f"no keeper can be started: can this be run? {self._what}")
        self._ready = True


def _line(talk: socket.socket) -> dict[str, Any] | None:
    """What is said up to the end of the line, as JSON; None when the other end closes before it."""
    said = bytearray()
    while not said.endswith(b"\n"):
        part = talk.recv(1 << 16)
        if not part:
            return None
        said += part
    answer: dict[str, Any] = json.loads(said)
    return answer


def _spawn(argv: tuple[str, ...], channel: int) -> int:
    """The pid of a server, in a session of its own: nothing that is meant for our group reaches it or its keepers."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, channel, 0), (os.POSIX_SPAWN_DUP2, null, 1), *close_strangers()]
    try:
        return os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsid=True, setsigmask=())
    finally:
        os.close(null)


def request_text(request: LaunchRequest, linger_s: float = LINGER_S) -> str:
    """The request as the keeper reads it (runner/schema.py names the fields)."""
    return json.dumps(
        {
            "attempt": request.attempt,
            "token": request.token,
            "argv": request.argv,
            "env": dict(request.env),
            # The server's own folder is the root.
            "cwd": os.path.abspath(request.cwd),
            "log_file": os.path.abspath(request.log_file),
            "claim": os.path.abspath(request.claim_file),
            "exit": os.path.abspath(request.exit_file),
            "inner": os.path.abspath(request.inner_file),
            "linger_s": linger_s,
        }
    )


def write_files(request: LaunchRequest) -> None:
    """Makes the folders of log and papers, and writes the request's files where they are not there already."""
    files = (request.log_file, request.claim_file, request.exit_file, request.inner_file)
    for folder in {*(file.parent for file in files), *request.folders}:
        if not folder.is_dir():
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
