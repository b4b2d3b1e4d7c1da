"""Claims from the supervisor's side: what was never started, what runs, and what a power cut tore."""

import json
from pathlib import Path

import pytest

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch.claims import claimed
from auto_loop.launch.local import LocalLauncher

CLAIM = {"pid": 7, "start_time": 9, "boot_id": "b", "token": "t"}


def test_without_a_claim_it_never_ran_and_a_keeper_that_comes_later_finds_the_tombstone(tmp_path: Path) -> None:
    file = tmp_path / "papers" / "a.claim"
    assert claimed(file, "local", "t") is None
    assert claimed(file, "local", "t") is None
    assert [path.name for path in file.parent.iterdir()] == ["a.claim"]


def test_a_claim_names_the_process_to_adopt(tmp_path: Path) -> None:
    file = tmp_path / "a.claim"
    file.write_text(json.dumps(CLAIM))
    assert claimed(file, "local", "t") == Handle(launcher="local", pid=7, start_time=9, boot_id="b", reference="t")


@pytest.mark.parametrize("torn", ["", '{"pid": 7, "sta', "\0" * 130])
def test_a_claim_torn_by_a_power_cut_leads_to_the_exit_if_there_is_one(tmp_path: Path, torn: str) -> None:
    file, exit_file = tmp_path / "a.claim", tmp_path / "a.exit"
    file.write_text(torn)
    handle = claimed(file, "local", "t")
    assert handle is not None
    launcher = LocalLauncher()
    try:
        lost = launcher.poll(handle, exit_file)
        exit_file.write_text(json.dumps({"token": "t", "returncode": 0, "ended_at": 5.0}))
        ended = launcher.poll(handle, exit_file)
    finally:
        launcher.close()
    assert isinstance(lost, Exit)
    assert lost.returncode is None
    assert ended == Exit(returncode=0, ended_at=5.0)
