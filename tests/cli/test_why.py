"""`auto-loop why`, called as a process of its own in a project whose ledger was really written."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from auto_loop.cli.main import main
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Ending, JobId, Origin, Outcome
from auto_loop.domain.slot import SlotState
from auto_loop.domain.study import Supervisor
from auto_loop.launch import processes
from auto_loop.ledger.ledger import Ledger
from tests.cli.project import Project
from tests.ledger.make import HANDLE, LOOP, STUDY, new_attempt, new_job

BUSY = "GPU 3 is used by process 991 (python, 12 GB), which is none of ours"
JOBS = ("base", "second", "third", "fourth")


def supervisor(**changes: Any) -> Supervisor:
    """The test itself, as the supervisor: a process that lives."""
    me = processes.process(os.getpid())
    assert me is not None
    given = {
        "study": STUDY,
        "host": socket.gethostname(),
        "boot_id": processes.boot_id(),
        "pid": me.pid,
        "start_time": me.start_time,
        "since": time.time() - 60,
    }
    return Supervisor(**(given | changes))


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A project's ledger: one job holds GPU 0, GPU 3 is somebody else's, and three jobs wait."""
    monkeypatch.chdir(tmp_path)
    made = Ledger.open(tmp_path / "outputs" / "ledger.sqlite3", time.time)
    made.ensure_study(STUDY, "act_ot", "act_ot")
    made.open_loop(STUDY, LOOP, {})
    made.record_supervisor(supervisor())
    first, *_ = [made.add_job(new_job(name)) for name in JOBS]
    made.mark_running(made.start_attempt(new_attempt(first)), HANDLE, time.time())
    slots = (
        SlotState(index=0, place="GPU 0", gpus=("GPU-0",), numbers=(0,), since=1.0),
        SlotState(index=1, place="GPU 3", gpus=("GPU-3",), numbers=(3,), since=time.time(), cause=BUSY),
    )
    made.record_slots(LOOP, slots, anew=True)
    return made


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["why", *words], catch_exceptions=False)


def why(*words: str) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.output


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def test_every_slot_and_every_waiting_job_has_its_cause(ledger: Ledger) -> None:
    said = lines(why())
    assert said[0].startswith(f"Study act_ot, loop {LOOP}, round 1: driven by process {os.getpid()}, since ")
    assert said[1].startswith("slot 0 (GPU 0)  base, since ")
    assert said[2].startswith("slot 1 (GPU 3)  idle since ")
    assert said[2].endswith(BUSY)
    assert said[3] == f"second waits: it is next; slot 1 (GPU 3) is idle: {BUSY}"
    assert said[4] == "behind it, in this order: third and fourth"
    assert len(said) == 5


def test_the_json_has_a_stable_form(ledger: Ledger) -> None:
    one = json.loads(why("--json"))["studies"][0]
    assert (one["study"], one["loop"]) == (STUDY, LOOP)
    assert one["driven_by"]["pid"] == os.getpid()
    assert [(slot["slot"], slot["gpus"], slot["job"], slot["cause"]) for slot in one["slots"]] == [
        (0, [0], "base", ""),
        (1, [3], None, BUSY),
    ]
    assert [waits["job"] for waits in one["waiting"]] == ["second", "third", "fourth"]
    assert all(waits["cause"] for waits in one["waiting"])


def gone() -> Supervisor:
    return supervisor(start_time=1)


def rebooted() -> Supervisor:
    return supervisor(boot_id="another boot")


@pytest.mark.parametrize(("who", "cause"), [(gone, "was killed"), (rebooted, "ended when the machine was restarted")])
def test_a_supervisor_that_is_gone_is_the_cause_of_everything(
    ledger: Ledger, who: Callable[[], Supervisor], cause: str
) -> None:
    ledger.record_supervisor(who())
    said = lines(why())
    assert f"nobody drives the study: its supervisor (process {os.getpid()}) {cause}" in said[0]
    assert "`auto-loop autorun --resume --study act_ot --exec` goes on with it" in said[0]
    assert said[1].endswith("its process is gone, and how it ended is read when somebody drives the study")
    assert said[2].startswith("slot 1 (GPU 3)  idle: nobody drives the study (last known at ")
    assert said[2].endswith(f": {BUSY})"), "of a loop that was left, it may be why"
    assert said[3] == "3 jobs wait, as nobody drives the study: second, third and fourth"
    assert f"its supervisor (process {os.getpid()}) {cause}; `auto-loop autorun --resume" in why("gpu:3")
    assert json.loads(why("--json"))["studies"][0]["driven_by"] is None
    assert "nobody drives the study" in why("third")


def test_one_that_left_in_good_order_says_so(ledger: Ledger) -> None:
    ledger.supervisor_left(STUDY)
    assert f"its supervisor (process {os.getpid()}) left" in why()


def test_one_on_another_host_cannot_be_looked_at(ledger: Ledger) -> None:
    ledger.record_supervisor(supervisor(host="elsewhere", pid=77))
    assert "driven by process 77 on elsewhere, if it lives, since" in why()


def test_a_job_by_name_or_by_id(ledger: Ledger) -> None:
    assert f"third (job 3 of study act_ot, loop {LOOP}, round 1)" in why("third")
    assert "It waits: 1 job is ahead of it" in why("third")
    assert why("3") == why("third")
    assert "It runs on slot 0 (GPU 0), since" in why("base")
    found = json.loads(why("third", "--json"))
    assert (found["job"], found["state"], found["outcome"]) == ("third", "queued", None)
    assert found["cause"].startswith("It waits: 1 job is ahead of it")


def test_a_job_that_failed_names_its_class_and_its_remedy(ledger: Ledger) -> None:
    job = JobId(2)
    attempt = ledger.start_attempt(new_attempt(job, 1))
    out = Ending(
        ended_at=time.time(), outcome=Outcome.FAILED, failure=Failure.OUT_OF_MEMORY, cause="CUDA out of memory"
    )
    ledger.finish_attempt(attempt, out)
    origin = Origin(parent=job, proposer="remedy", changes=("batch_size@mul=0.5",))
    ledger.add_job(new_job("second_x", origin=origin))
    said = lines(why("second"))
    assert said[1].endswith("it failed (out of memory): CUDA out of memory.")
    assert said[2] == "In its place: second_x (batch_size@mul=0.5)."


def test_a_back_off_says_until_when(ledger: Ledger) -> None:
    attempt = ledger.start_attempt(new_attempt(JobId(2), 1))
    end = Ending(ended_at=time.time(), outcome=Outcome.FAILED, failure=Failure.TRANSIENT, cause="the port was taken")
    ledger.finish_attempt(attempt, end)
    ledger.requeue(JobId(2), time.time() + 300)
    assert "second waits: it is tried again at " in why()
    assert "attempt 1 failed (transient): the port was taken" in why("second")


def test_a_gpu_by_its_number(ledger: Ledger) -> None:
    assert BUSY in why("gpu:3")
    assert "base, since" in why("gpu:0")
    assert why("gpu:7") == "No open loop uses GPU 7: open loops use GPUs 0 and 3.\n"
    found = json.loads(why("gpu:3", "--json"))
    assert [slot["cause"] for slot in found["slots"]] == [BUSY]


def test_two_studies_on_one_gpu_are_both_named(ledger: Ledger) -> None:
    ledger.ensure_study("other", "p", "p")
    ledger.open_loop("other", LOOP + 1, {})
    ledger.record_slots(
        LOOP + 1, [SlotState(index=0, place="GPU 3", numbers=(3,), cause="no job is queued")], anew=True
    )
    said = lines(why("gpu:3"))
    assert [line.split(":")[0] for line in said] == ["GPU 3, study act_ot", "GPU 3, study other"]
    assert "Study other" not in why("--study", STUDY)


def test_a_finished_study_says_how_its_loop_ended(ledger: Ledger) -> None:
    for number in (2, 3, 4):
        ledger.cancel_job(JobId(number), "withdrawn")
    base = ledger.reading.job(JobId(1))
    assert base is not None
    ledger.finish_attempt(base.attempts[-1].id, Ending(ended_at=time.time(), outcome=Outcome.SUCCEEDED))
    ledger.close_loop(STUDY, LOOP, "all 3 rounds are done")
    assert "the loop ended at " in why()
    assert "all 3 rounds are done" in why(STUDY)
    assert "idle" not in why()
    assert why("gpu:3") == "No open loop uses GPU 3: none uses any.\n"
    assert json.loads(why("--json"))["studies"][0]["ended"] == "all 3 rounds are done"


def test_a_job_left_behind_by_an_ended_loop_is_not_forgotten(ledger: Ledger) -> None:
    ledger.close_loop(STUDY, LOOP, "given up")
    ledger.open_loop(STUDY, LOOP + 5, {})
    said = lines(why())
    assert said[0].startswith(f"Study act_ot, loop {LOOP + 5}")
    assert said[1].startswith(f"base of loop {LOOP} still runs, since")


def test_more_jobs_than_are_looked_at_are_counted(ledger: Ledger) -> None:
    for number in range(70):
        ledger.add_job(new_job(f"more_{number}"))
    assert "behind it, in this order: third, fourth, more_0" in why()
    assert "and 64 more" in why()
    assert json.loads(why("--json"))["studies"][0]["unlisted"] == 23


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("seconf",), "there is no job or study called seconf (near it: second)"),
        (("--study", "nope"), "there is no study nope (there: act_ot)"),
        (("--ledger", "none.sqlite3"), "there is no ledger"),
        (("second", "--study", "nope"), "there is no job or study called second in study nope"),
    ],
)
def test_what_is_not_there_is_refused(ledger: Ledger, words: tuple[str, ...], said: str) -> None:
    result = call(*words)
    assert result.exit_code == 3
    assert said in result.output


def test_an_empty_ledger_has_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Ledger.open(tmp_path / "outputs" / "ledger.sqlite3", time.time).close()
    assert why() == "The ledger has no loop yet.\n"


def test_it_never_writes(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    before = (tmp_path / "outputs" / "ledger.sqlite3").read_bytes()
    why()
    why("third")
    assert (tmp_path / "outputs" / "ledger.sqlite3").read_bytes() == before


def test_as_a_process(project: Project) -> None:
    answer = project.shell("python -m auto_loop why")
    assert answer.returncode == 3
    assert "there is no ledger" in answer.stderr


def test_an_older_loop_of_a_driven_study_is_not_told_as_one_that_nobody_drives(ledger: Ledger) -> None:
    """Somebody drives the study, and `--resume` would be refused."""
    ledger.open_loop(STUDY, LOOP + 1, {})
    older, _, slot, waiting = lines(why())[:4]
    assert older == f"Study act_ot, loop {LOOP}, round 1: study act_ot goes on with its newest loop first"
    assert slot.startswith("slot 1 (GPU 3)  idle: a newer loop of the study goes first (last known at ")
    assert waiting == "3 jobs wait, as a newer loop of the study goes first: second, third and fourth"
