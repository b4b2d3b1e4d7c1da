import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from auto_loop.launch import ports
from auto_loop.launch.ports import lease_folder, lease_port


def test_two_leases_are_two_ports(tmp_path: Path) -> None:
    first, second = lease_port(tmp_path), lease_port(tmp_path)
    assert first.port != second.port
    first.close()
    third = lease_port(tmp_path)
    assert third.port == first.port
    second.close()
    third.close()


def test_a_port_in_use_is_passed_over(tmp_path: Path) -> None:
    lease = lease_port(tmp_path)
    lease.close()
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as taken:
            try:
                taken.bind((address, lease.port))
            except OSError:
                continue  # a machine without IPv6
            other = lease_port(tmp_path)
            assert other.port != lease.port
            other.close()


def test_a_lease_lives_in_who_inherits_it(tmp_path: Path) -> None:
    lease = lease_port(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lease.descriptor]
    ) as holder:
        lease.close()
        other = lease_port(tmp_path)
        assert other.port != lease.port
        other.close()
        holder.communicate(b"\n")
    again = lease_port(tmp_path)
    assert again.port == lease.port
    again.close()


def test_ports_are_outside_the_outgoing_range(tmp_path: Path) -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    lease = lease_port(tmp_path)
    assert 1024 < lease.port < 65536
    assert not low <= lease.port <= high
    lease.close()


def test_the_folder_is_the_users_own_and_one_in_every_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of cron's and one of a login's would else lock different files for one GPU."""
    monkeypatch.setenv("TMPDIR", "/c")
    assert lease_folder({"AUTO_LOOP_LEASE_DIR": "/a", "XDG_RUNTIME_DIR": "/b"}) == Path("/a")
    plain = lease_folder({})
    assert plain.name == f"auto_loop-{os.getuid()}"
    assert lease_folder({"XDG_RUNTIME_DIR": "/b", "TMPDIR": "/c"}) == plain


@pytest.mark.parametrize(
    ("low", "high", "first"),
    [
        (32_768, 60_999, 23_400),
        (16_000, 65_535, 14_000),
        (1_024, 60_000, 60_001),
        (1_024, 65_535, 23_400),
        (23_400, 23_400, 21_400),
        (2_000, 64_000, 23_400),
    ],
)
def test_candidates(low: int, high: int, first: int) -> None:
    """Outside the outgoing range wherever there is room; never 0, never a well-known one, never above the last."""
    found = ports._candidates(low, high)
    assert found[0] == first
    assert len(found) == 2_000
    assert found[0] > 1_023
    assert found[-1] <= 65_535


def test_a_foreign_listener_is_passed_over(tmp_path: Path) -> None:
    first = ports._candidates(*ports._outgoing())[0]
    with socket.socket() as listener:
        with contextlib.suppress(OSError):  # taken by somebody else: foreign all the same
            listener.bind(("", first))
            listener.listen()
        lease = lease_port(tmp_path)
        assert lease.port > first
        lease.close()


def test_without_a_free_port_it_says_so_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_COUNT", 2)
    leases = [lease_port(tmp_path), lease_port(tmp_path)]
    before = os.listdir("/proc/self/fd")
    with pytest.raises(RefusedError, match="no port is free"):
        lease_port(tmp_path)
    assert os.listdir("/proc/self/fd") == before
    for lease in leases:
        lease.close()


def test_a_bind_test_that_fails_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_descriptors(*_: object) -> socket.socket:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(ports.socket, "socket", out_of_descriptors)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Too many open files"):
        lease_port(tmp_path)
    assert os.listdir("/proc/self/fd") == before


CROWD = r"""
import os, socket, sys
from pathlib import Path
from auto_loop.launch.ports import lease_port
start, started = os.pipe()
answers, answer = os.pipe()
done, finished = os.pipe()
for _ in range(100):
    if not os.fork():
        os.close(started), os.close(finished)
        os.read(start, 1)
        port = lease_port(Path(sys.argv[1])).port
        meeting = socket.socket()
        meeting.bind(("", port))
        meeting.listen()
        os.write(answer, b"%d\n" % port)
        os.read(done, 1)
        os._exit(0)
os.close(answer), os.close(start), os.close(done)
os.close(started)
with os.fdopen(answers) as told:
    for _ in range(100):
        sys.stdout.write(told.readline())
os.close(finished)
"""


def test_a_hundred_at_once_meet_on_a_hundred_ports(tmp_path: Path) -> None:
    """Each process leases when all are there, listens on its port as its job would, and holds it to the end."""
    done = subprocess.run([sys.executable, "-c", CROWD, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found = [int(line) for line in done.stdout.split()]
    assert len(found) == len(set(found)) == 100
    assert min(found) > 1_023
