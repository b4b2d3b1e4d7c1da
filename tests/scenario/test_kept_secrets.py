"""Keys and tokens of a whole loop: the jobs get them, and none of our files does."""

from pathlib import Path

import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act
from tests.scenario.harness import World

EXTRA = ("--hub.token=plainword7", "--wandb.api_key", "otherword8", "--id=known-value9")
SECRETS = (b"plainword7", b"otherword8", b"known-value9")


def holding_secrets(root: Path) -> list[Path]:
    files = (file for file in root.rglob("*") if file.is_file())
    return [file for file in files if any(secret in file.read_bytes() for secret in SECRETS)]


def test_secrets_in_extra_words_reach_the_jobs_and_no_file(tmp_path: Path) -> None:
    world = World(root=tmp_path, env={"MY_SERVICE_KEY": "known-value9"})
    world.run(cfgs=world.configs(2), extra=EXTRA, decide=True)
    assert [request.argv[-4:] for request in world.requests] == [EXTRA, EXTRA]
    assert holding_secrets(tmp_path) == []


def test_a_log_that_shows_its_own_command_is_quoted_without_them(tmp_path: Path) -> None:
    def script(request: LaunchRequest) -> Act:
        request.log_file.parent.mkdir(exist_ok=True)
        request.log_file.write_text(f"called with {list(request.argv)}\n")
        return Act(duration_s=1.0, returncode=1, inner=f"ValueError: {request.argv[-4:]}")

    world = World(root=tmp_path, env={"MY_SERVICE_KEY": "known-value9"})
    assert world.run(script, cfgs=world.configs(1), extra=EXTRA, retries=0) == 1
    (ended,) = (one for job in world.history().jobs for one in job.attempts)
    assert "called with" in ended.log_tail
    assert "ValueError" in ended.cause
    assert [file.suffix for file in holding_secrets(tmp_path)] == [".log"]


def test_a_loop_that_was_started_with_secrets_is_resumed_with_the_same_ones_only(tmp_path: Path) -> None:
    world = World(root=tmp_path, env={"MY_SERVICE_KEY": "known-value9"})
    world.run(cfgs=world.configs(2), extra=EXTRA, concurrency=1, max_hours=1 / 3600)
    again = {"cfgs": (), "resume": True, "study": "pack"}
    with pytest.raises(MisuseError, match="give --extra again"):
        world.run(**again)
    with pytest.raises(MisuseError, match="leave the option out"):
        world.run(**again, extra=("--lr=3",), given=frozenset({"extra"}))
    world.run(**again, extra=EXTRA, given=frozenset({"extra"}))
    assert world.requests[-1].argv[-4:] == EXTRA
    assert holding_secrets(tmp_path) == []
