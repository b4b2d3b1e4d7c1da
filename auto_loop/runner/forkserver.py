"""Forks a keeper for each request: `<python> -I -S forkserver.py`, one end of a socket pair as its descriptor 0.

A keeper that is forked from an interpreter which has everything loaded costs a tenth of one that is started. Formats
are in `schema.py`. Each packet brings descriptors only: the talk of one launch (a socket, on which the keeper reads its
request and gives its answer), then what the keeper is to hold. The server itself reads no request and keeps no
descriptor, so that it neither grows nor knows a secret nor holds a lock longer than its keeper.

It is the supervisor's own, and ends with it: by the end of the packets. Its keepers go on.
"""

from __future__ import annotations

import gc
import os
import sys

try:
    import _signal as signal  # type: ignore[import-not-found]  # has no stub
    import _socket as socket
except ImportError:
    import signal  # the same names, behind enums that take time to build
    import socket  # type: ignore[no-redef]  # the same names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

READY = b"ready"
MOST_DESCRIPTORS = 253  # SCM_MAX_FD of Linux
SIZE = 4  # bytes of a descriptor in a message


def main() -> None:
    """Forks until the supervisor has closed its end."""
    keeper = load_keeper()
    keeper.set_signals()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel then reaps our keepers
    keeper.warm_up()
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir("/")
    # A collection writes to every object, and each page that a keeper writes to is copied.
    gc.disable()
    gc.freeze()
    try:
        channel.send(READY)
    except OSError:
        return  # the supervisor was killed meanwhile; nobody is left to be told of it
    while True:
        descriptors, whole = receive(channel)
        if not descriptors:
            return
        attend(channel, keeper, descriptors, whole)
        for descriptor in descriptors:
            os.close(descriptor)


def load_keeper() -> ModuleType:
    """The neighbour of this file; -I keeps its folder off the path."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, folder)
    try:
        import keeper  # type: ignore[import-not-found]  # found by the line above
    finally:
        sys.path.remove(folder)
    return keeper  # type: ignore[no-any-return]  # for want of a stub on the path


def receive(channel: socket.socket) -> tuple[list[int], bool]:
    """The descriptors of the next packet, closed on exec, and whether all have come; none at the end of the packets."""
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * SIZE)
    try:
        _, messages, flags, _ = channel.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionError:
        return [], False
    descriptors = [
        int.from_bytes(data[at : at + SIZE], sys.byteorder)
        for level, kind, data in messages
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for at in range(0, len(data) - SIZE + 1, SIZE)
    ]
    return descriptors, not flags & socket.MSG_CTRUNC


def attend(channel: socket.socket, keeper: ModuleType, descriptors: list[int], whole: bool) -> None:
    """Forks the keeper of one request, or tells the supervisor why there will be none."""
    if not whole:
        return refuse(keeper, descriptors[0], "too many files are open to take over all descriptors")
    try:
        pid = os.fork()
    except OSError as error:
        return refuse(keeper, descriptors[0], "no process could be forked for its keeper: %s" % error)
    if pid:
        return None
    code = keeper.CANNOT_CLAIM
    try:
        os.setsid()
        keeper.set_signals()
        channel.close()
        code = keeper.attend(*talk(keeper, descriptors[0]))
    finally:
        os._exit(code)


def talk(keeper: ModuleType, descriptor: int) -> tuple[Callable[[], str], Callable[[dict[str, Any]], None]]:
    """How a keeper reads its request from the socket, and how it answers there, once."""

    def hear() -> str:
        parts: list[bytes] = []
        while True:
            part = os.read(descriptor, 1 << 16)
            if not part:
                return b"".join(parts).decode()
            parts.append(part)

    def say(answer: dict[str, Any]) -> None:
        try:  # noqa: SIM105 (importing contextlib takes longer than all else here)
            os.write(descriptor, keeper.dumps(answer).encode() + b"\n")
        except OSError:
            pass  # the supervisor is gone; what was claimed is run all the same
        os.close(descriptor)

    return hear, say


def refuse(keeper: ModuleType, descriptor: int, why: str) -> None:
    """Answers in place of a keeper; not before the supervisor has said all, or the answer would be lost."""
    hear, say = talk(keeper, os.dup(descriptor))
    try:  # noqa: SIM105 (as above)
        hear()
    except OSError:
        pass
    say({"code": keeper.CANNOT_CLAIM, "error": why, "claim": None})


if __name__ == "__main__":
    main()
    os._exit(0)
