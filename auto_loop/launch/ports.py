"""Ports for jobs of several processes: leased by a lock that their keeper holds, so that no two jobs of ours clash."""

import contextlib
import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.errors import Fault, RefusedError

# Below the range from which Linux gives out ports by itself (32768 and up unless it was changed).
PORTS = range(21000, 32000)


@dataclass(frozen=True, slots=True)
class PortLease:
    """A port, and the descriptor whose lock leases it as long as any process holds it open."""

    port: int
    descriptor: int


def lease_port(folder: Path) -> PortLease:
    """A port that no job of this user holds and that nobody listens on now; `folder` holds the locks.

    A foreign process can still take it before the job does: the job then fails with EADDRINUSE in its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for port in PORTS:
        descriptor = os.open(folder / f"port_{port}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        if is_free(port):
            return PortLease(port, descriptor)
        os.close(descriptor)
    raise RefusedError(Fault(what=f"no free port between {PORTS.start} and {PORTS.stop - 1}"))


def is_free(port: int) -> bool:
    """Whether it can be bound on IPv4 and, where there is one, on IPv6; without SO_REUSEADDR, which would lie."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            if family is socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in _NO_SUCH_FAMILY:
                    continue
                return False
    return True


_NO_SUCH_FAMILY = {97, 99}  # EAFNOSUPPORT, EADDRNOTAVAIL: a machine without IPv6
