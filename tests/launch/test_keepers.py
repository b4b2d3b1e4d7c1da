"""Fork servers that are gone when they are needed, or in the middle of a launch."""

import dataclasses
import os
import signal
import sys
from pathlib import Path

import pytest

from auto_loop.domain.errors import AutoLoopError
from auto_loop.launch import keepers
from auto_loop.launch.local import LocalLauncher
from tests.launch.make import request
from tests.launch.test_forkserver import end, gone, kill_later, launcher, servers, until

__all__ = ["launcher"]


def test_what_cannot_be_replaced_now_ends_nothing(launcher: LocalLauncher, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    asked = dataclasses.replace(request(tmp_path, ("true",), name="first"), keeper_python=str(python))
    assert end(launcher, launcher.launch(asked), asked).returncode == 0
    (server,) = servers()
    os.kill(server, signal.SIGKILL)
    until(lambda: gone(server))
    python.unlink()
    launcher.prepare()
    late = dataclasses.replace(request(tmp_path, ("true",), name="late"), keeper_python=str(python))
    with pytest.raises(OSError, match="No such file"):
        launcher.launch(late)


def test_what_may_have_started_is_no_failed_launch_where_no_tombstone_can_be_made(
    launcher: LocalLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    launcher.launch(request(tmp_path, ("true",), name="warm"))
    (server,) = servers()
    os.kill(server, signal.SIGSTOP)
    killer = kill_later(server, 0.1)
    monkeypatch.setattr(keepers, "claimed", no_room)
    with pytest.raises(AutoLoopError, match=r"nobody can tell whether the attempt was started: No space .*--resume"):
        launcher.launch(request(tmp_path, ("true",)))
    os.waitpid(killer, 0)
