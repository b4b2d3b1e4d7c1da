from pathlib import Path

import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.domain.job import Exit
from auto_loop.launch.base import LaunchRequest, Running, Unknown
from auto_loop.launch.registry import launcher
from auto_loop.launch.stub import Act, FakeClock, StubLauncher
from tests.launch.make import request


def test_the_clock_jumps_from_end_to_end(tmp_path: Path) -> None:
    ended: list[str] = []

    def script(asked: LaunchRequest) -> Act:
        return Act(duration_s=float(asked.argv[0]), on_end=lambda one: ended.append(one.argv[0]))

    clock = FakeClock(now=100.0)
    stub = StubLauncher(script, clock)
    slow, quick = (stub.launch(request(tmp_path, [seconds])) for seconds in ("30", "5"))
    assert stub.wait((slow, quick), None) == {quick}
    assert clock.now == 105.0
    assert stub.poll(quick, tmp_path) == Exit(returncode=0, ended_at=105.0)
    assert stub.poll(quick, tmp_path) == Exit(returncode=0, ended_at=105.0)
    assert stub.poll(slow, tmp_path) == Running()
    assert stub.wait((slow,), 10.0) == frozenset()
    assert clock.now == 115.0
    assert stub.wait((slow,), 60.0) == {slow}
    assert clock.now == 130.0
    stub.poll(slow, tmp_path)
    assert ended == ["5", "30"]


def test_what_vanishes_is_unknown_while_strays_live(tmp_path: Path) -> None:
    stub = StubLauncher(lambda _: Act(duration_s=2, vanishes=True, strays_s=3))
    handle = stub.launch(request(tmp_path, ["x"]))
    assert stub.wait((handle,), 2) == {handle}
    assert isinstance(stub.poll(handle, tmp_path), Unknown)
    assert stub.wait((handle,), None) == {handle}
    assert stub.poll(handle, tmp_path) == Exit(returncode=None, ended_at=stub.clock.now - 3)


def test_a_wait_for_nothing_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="never ends"):
        StubLauncher().wait((), None)


def test_launchers_by_name() -> None:
    assert launcher("stub").name == "stub"
    local = launcher("local")
    assert local.name == "local"
    local.close()
    with pytest.raises(MisuseError, match=r"no launcher is called 'slurn'.*known: local, stub"):
        launcher("slurn")
