import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.slot import Blocked
from auto_loop.launch import gpu_leases
from auto_loop.launch.gpu_leases import GpuLease, Owner, lease_gpu, lease_gpus
from tests.launch.make import gpu

GPU = gpu(0)
MINE = Owner(study="mine", ledger="/home/me/a/outputs/ledger.sqlite3", pid=11, since=1_700_000_000.0)
NEXT = Owner(study="mine", ledger="/home/me/a/outputs/ledger.sqlite3", pid=99, since=1_800_000_000.0)
OTHER = Owner(study="other", ledger="/home/me/b/outputs/ledger.sqlite3", pid=12, since=time.time())


def taken(found: GpuLease | Blocked) -> GpuLease:
    assert isinstance(found, GpuLease), found
    return found


def cause(found: object) -> str:
    assert isinstance(found, Blocked), found
    return found.cause


def lock_file(folder: Path) -> Path:
    return folder / f"gpu_{GPU.uuid}"


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Each test lets go of what it took, and a lease that was not had leaves nothing open."""
    before = os.listdir("/proc/self/fd")
    yield
    assert os.listdir("/proc/self/fd") == before


def test_two_studies_never_share_a_gpu(tmp_path: Path) -> None:
    lease = taken(lease_gpu(tmp_path, GPU, MINE))
    assert not lease.shared
    said = cause(lease_gpu(tmp_path, GPU, OTHER))
    assert said.startswith("GPU 0 is held by study mine of /home/me/a/outputs/ledger.sqlite3 since 2023-11-1")
    lease.close()
    lease = taken(lease_gpu(tmp_path, GPU, OTHER))
    today = time.strftime("%H:%M", time.localtime(OTHER.since))
    assert cause(lease_gpu(tmp_path, GPU, MINE)).endswith(f"since {today}") or time.localtime().tm_hour == 0
    lease.close()


def test_the_jobs_of_one_study_share_a_gpu_under_a_new_supervisor_too(tmp_path: Path) -> None:
    first = taken(lease_gpu(tmp_path, GPU, MINE))
    second = taken(lease_gpu(tmp_path, GPU, NEXT))
    assert second.shared
    first.close()
    assert "study mine" in cause(lease_gpu(tmp_path, GPU, OTHER))
    second.close()
    taken(lease_gpu(tmp_path, GPU, OTHER)).close()


def test_the_same_study_name_in_another_project_is_another_study(tmp_path: Path) -> None:
    lease = taken(lease_gpu(tmp_path, GPU, MINE))
    cause(lease_gpu(tmp_path, GPU, Owner(study="mine", ledger="/elsewhere", pid=11, since=MINE.since)))
    lease.close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'{"study": "mine"}',
        b'{"study": "mine", "ledger": "/a", "pid": null, "since": 1}',
        b'{"study": "mine", "ledger": "/a", "pid": Infinity, "since": 1}',
        b"\xff\xfe\x00",
        b"[" * 50_000,
        json.dumps({"study": "x" * 100_000}).encode(),
    ],
)
def test_a_broken_name_in_a_lock_file_stops_nobody_for_ever(tmp_path: Path, text: bytes) -> None:
    lease = taken(lease_gpu(tmp_path, GPU, MINE))
    lock_file(tmp_path).write_bytes(text)
    for owner in (MINE, OTHER):
        assert "held by another project" in cause(lease_gpu(tmp_path, GPU, owner))
    lease.close()
    taken(lease_gpu(tmp_path, GPU, OTHER)).close()
    assert json.loads(lock_file(tmp_path).read_text())["study"] == "other"


@pytest.mark.parametrize("since", ["Infinity", "NaN", "1e300", "-1e18"])
def test_a_time_that_is_none_is_no_crash(tmp_path: Path, since: str) -> None:
    lease = taken(lease_gpu(tmp_path, GPU, MINE))
    lock_file(tmp_path).write_text(f'{{"study": "s", "ledger": "/l", "pid": 1, "since": {since}}}')
    assert "held by study s of /l since" in cause(lease_gpu(tmp_path, GPU, OTHER))
    lease.close()


def test_several_gpus_are_leased_all_or_none(tmp_path: Path) -> None:
    both = (gpu(1), gpu(0))
    lease = taken(lease_gpu(tmp_path, both[0], OTHER))
    assert "GPU 1 is held by study other" in cause(lease_gpus(tmp_path, both, MINE))
    taken(lease_gpu(tmp_path, both[1], OTHER)).close()
    skipped = lease_gpus(tmp_path, both, MINE, skip_held=True)
    assert not isinstance(skipped, Blocked)
    assert [one.index for one, _ in skipped] == [0]
    lease.close()
    for _, one in skipped:
        one.close()
    leased = lease_gpus(tmp_path, both, MINE)
    assert not isinstance(leased, Blocked)
    assert {one.index for one, _ in leased} == {0, 1}
    for _, one in leased:
        one.close()


HOLDER = """
import os, sys, time
from pathlib import Path
from auto_loop.launch import gpu_leases
from auto_loop.launch.gpu_leases import Owner, lease_gpu
from tests.launch.make import gpu
lease = lease_gpu(Path(sys.argv[1]), gpu(0), Owner(study="theirs", ledger="/l", pid=os.getpid(), since=time.time()))
os.set_inheritable(lease.descriptor, True)
heir = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ, setsid=True)
bystander = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ, setsid=True,
                           file_actions=[(os.POSIX_SPAWN_CLOSE, lease.descriptor)])
print(heir, bystander, flush=True)
time.sleep(60)
"""


def test_a_lease_lasts_as_long_as_its_heir_and_no_longer(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        heir, bystander = map(int, parent.stdout.readline().split())
        try:
            assert "study theirs" in cause(lease_gpu(tmp_path, GPU, MINE))
            parent.kill()
            parent.wait()
            assert "study theirs" in cause(lease_gpu(tmp_path, GPU, MINE))
            os.kill(heir, signal.SIGKILL)
            taken(until_free(tmp_path)).close()
        finally:
            for pid in (heir, bystander):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def until_free(folder: Path) -> GpuLease | Blocked:
    deadline = time.monotonic() + 30
    while isinstance(found := lease_gpu(folder, GPU, MINE), Blocked) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


RACER = """
import os, sys, time
from pathlib import Path
from auto_loop.domain.slot import Blocked
from auto_loop.launch import gpu_leases
from auto_loop.launch.gpu_leases import Owner, lease_gpu
from tests.launch.make import gpu
folder, study = Path(sys.argv[1]), sys.argv[2]
owner = Owner(study=study, ledger="/l", pid=os.getpid(), since=time.time())
print(flush=True)
sys.stdin.readline()
had = clashes = 0
for _ in range(400):
    lease = lease_gpu(folder / "locks", gpu(0), owner)
    if isinstance(lease, Blocked):
        continue
    had += 1
    inside = folder / "inside" / f"{study}_{os.getpid()}"
    inside.touch()
    clashes += any(not name.startswith(study) for name in os.listdir(folder / "inside"))
    inside.unlink()
    lease.close()
print(had, clashes, flush=True)
"""


def test_studies_that_race_for_a_gpu_never_have_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), study], **pipes)  # type: ignore[call-overload]  # a dict of options
        for study in ("red", "red", "blue", "blue")
    ]
    for racer in racers:
        racer.stdout.readline()
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert sum(int(had) for had, _ in told) > 0
    assert [clashes for _, clashes in told] == ["0"] * 4


def test_who_comes_between_writing_and_sharing_keeps_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lets go of an exclusive lock before it gives the shared one: here it always does, and long enough."""
    theirs: list[GpuLease] = []
    flock = fcntl.flock

    def slow(descriptor: int, kind: int) -> None:
        if kind & fcntl.LOCK_SH and not theirs:
            monkeypatch.setattr(gpu_leases.fcntl, "flock", flock)
            flock(descriptor, fcntl.LOCK_UN)
            theirs.append(taken(lease_gpu(tmp_path, GPU, OTHER)))
        flock(descriptor, kind)

    monkeypatch.setattr(gpu_leases.fcntl, "flock", slow)
    assert "held by study other" in cause(lease_gpu(tmp_path, GPU, MINE))
    theirs[0].close()


def test_trouble_with_the_folder_is_one_clear_message(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(RefusedError, match=r"locks cannot be kept there: Not a directory \(set AUTO_LOOP_LEASE_DIR"):
        lease_gpu(in_the_way, GPU, MINE)
    (tmp_path / f"gpu_{GPU.uuid}").symlink_to(in_the_way)
    with pytest.raises(RefusedError, match="symbolic links"):
        lease_gpu(tmp_path, GPU, MINE)


def test_a_folder_of_somebody_else_is_not_trusted(tmp_path: Path) -> None:
    folder = Path("/usr")
    if os.getuid() == 0:
        folder = tmp_path / "theirs"
        folder.mkdir()
        os.chown(folder, 65_534, 65_534)
    with pytest.raises(RefusedError, match=r"belongs to user \d+ \(set AUTO_LOOP_LEASE_DIR"):
        lease_gpu(folder, GPU, MINE)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RefusedError, match="Permission denied"):
        lease_gpu(tmp_path, GPU, MINE)
    tmp_path.chmod(0o700)


def test_the_folder_is_private(tmp_path: Path) -> None:
    taken(lease_gpu(tmp_path / "a" / "b", GPU, MINE)).close()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
