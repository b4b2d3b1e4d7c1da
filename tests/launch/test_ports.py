import os
import socket
import subprocess
import sys
from pathlib import Path

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


def test_the_folder_is_the_users_own() -> None:
    assert lease_folder({"AUTO_LOOP_LEASE_DIR": "/a", "XDG_RUNTIME_DIR": "/b"}) == Path("/a")
    assert lease_folder({"XDG_RUNTIME_DIR": "/b"}) == Path("/b/auto_loop")
    assert lease_folder({}).name == f"auto_loop-{os.getuid()}"
