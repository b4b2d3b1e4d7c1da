"""Formal runs are online in every round, and the key is in nothing that is written."""

from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from tests.scenario.harness import World

KEY = "0123456789abcdef0123456789abcdef01234567"
ONLINE = {"wandb_online": True, "wandb_entity": "me", "wandb_project": "p"}


def test_online_entity_and_project_reach_the_jobs_of_every_round(tmp_path: Path) -> None:
    world = World(root=tmp_path, env={"WANDB_API_KEY": KEY})
    assert world.run(cfgs=world.configs(1), decide=True, rounds=3, **ONLINE) == 0
    told = [tuple(request.env[f"WANDB_{word}"] for word in ("MODE", "ENTITY", "PROJECT")) for request in world.requests]
    assert told == [("online", "me", "p")] * 3
    assert all(request.env["WANDB_API_KEY"] == KEY for request in world.requests)


def test_the_key_is_in_nothing_that_is_written_or_said(tmp_path: Path) -> None:
    world = World(root=tmp_path, env={"WANDB_API_KEY": KEY})
    world.run(cfgs=world.configs(1), **ONLINE)
    world.run(cfgs=("c0.json",), execute=False, **ONLINE)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.suffix == ".sqlite3" for file in written)
    assert not [file for file in written if KEY.encode() in file.read_bytes()]
    assert KEY not in "".join(world.said)
    assert not any(KEY in str(event.detail) for event in world.watching.events)


def test_what_an_online_run_lacks_is_said_at_once_before_the_first_launch(tmp_path: Path) -> None:
    world = World(root=tmp_path)
    with pytest.raises(RefusedError) as caught:
        world.run(cfgs=world.configs(1), wandb_online=True)
    assert [fault.what for fault in caught.value.faults] == ["no W&B key", "no W&B entity", "no W&B project"]
    assert world.requests == []


def test_without_the_flag_nothing_is_online(tmp_path: Path) -> None:
    world = World(root=tmp_path, env={"WANDB_API_KEY": KEY, "WANDB_MODE": "online"})
    world.run(cfgs=world.configs(1))
    assert world.requests[0].env["WANDB_MODE"] == "offline"
