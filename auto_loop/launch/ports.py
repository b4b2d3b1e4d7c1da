"""Leases of ports, for jobs of several processes: two launches that choose the same one would end each other.

A lease is a `flock` on a file per port. The keeper inherits the descriptor, so that the lease lives as long as the
job, whatever becomes of the supervisor. A foreign process can still take the port; the job then fails and says so.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.errors import Fault, RefusedError
from auto_loop.launch.locks import open_lock

_FIRST = 23_400  # below the ports that Linux gives to outgoing connections by default, above the well-known ones
_COUNT = 2_000
_WELL_KNOWN, _LAST = 1_023, 65_535
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True, slots=True)
class PortLease:
    """A port, and the descriptor whose lock keeps it ours, until a launch takes it over or it is closed."""

    port: int
    descriptor: int

    def close(self) -> None:
        """Lets go of a port that no launch took over."""
        os.close(self.descriptor)


def lease_folder(env: Mapping[str, str]) -> Path:
    """Where the locks of all of this user's projects lie: one place, whoever starts them.

    Neither XDG_RUNTIME_DIR, which cron and schedulers do not set and which a logout deletes under the jobs that run,
    nor TMPDIR, which can be another one in each session: two loops would then lock different files for one GPU.
    """
    return Path(env.get("AUTO_LOOP_LEASE_DIR") or f"/tmp/auto_loop-{os.getuid()}")


def lease_port(folder: Path) -> PortLease:
    """The lowest port that is neither leased nor in use; RefusedError when there is none, OSError without means."""
    for port in _candidates(*_outgoing()):
        descriptor = open_lock(folder, f"port_{port}")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_free(port):
                return PortLease(port, descriptor)
        except BlockingIOError:
            pass  # leased by another job
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise RefusedError(Fault(what="no port is free for a job of several processes", where=str(folder)))


def _outgoing() -> tuple[int, int]:
    """The ports that outgoing connections take theirs from, both ends included."""
    try:
        low, high = map(int, _EPHEMERAL.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return 32_768, 60_999
    return low, high


def _candidates(low: int, high: int) -> range:
    """Ports outside low..high, which outgoing connections may take at any moment; among them when there is no room."""
    for first in (_FIRST, low - _COUNT, high + 1):
        ports = range(first, first + _COUNT)
        outside = ports[-1] < low or ports[0] > high
        if outside and ports[0] > _WELL_KNOWN and ports[-1] <= _LAST:
            return ports
    return range(_FIRST, _FIRST + _COUNT)


def _is_free(port: int) -> bool:
    """Whether both families can bind it; without SO_REUSEADDR, as a port that is only just left is of no use."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                if family is socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind((address, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
    return True
