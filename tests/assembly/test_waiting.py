"""When nobody drives a study any more, and how its newest loop then stands."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.assembly.waiting import WaitCall, run_wait
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.job import Ending, JobId, Origin, Outcome
from auto_loop.domain.study import Supervisor
from auto_loop.launch import processes
from auto_loop.ledger.ledger import Ledger
from tests.ledger.make import LOOP, STUDY, new_job, open_study, run_attempt


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.chdir(tmp_path)
    return open_study(tmp_path / "outputs" / "ledger.sqlite3")


def me() -> Supervisor:
    """This process, as the supervisor of the study."""
    found = processes.process(os.getpid())
    assert found is not None
    return Supervisor(
        study=STUDY,
        host=os.uname().nodename,
        boot_id=processes.boot_id(),
        pid=found.pid,
        start_time=found.start_time,
        since=1.0,
    )


def waited(timeout: float | None = None) -> tuple[int, str]:
    said: list[str] = []
    code = run_wait(WaitCall(study=STUDY, timeout=timeout), said.append)
    assert len(said) == 1
    return code, said[0]


def failed(ledger: Ledger, name: str, origin: Origin | None = None) -> JobId:
    job = ledger.add_job(new_job(name, origin=origin))
    ledger.finish_attempt(run_attempt(ledger, job), Ending(ended_at=1.0, outcome=Outcome.FAILED, returncode=1))
    return job


def test_a_failed_job_counts_unless_a_remedied_one_took_its_place(ledger: Ledger) -> None:
    first = failed(ledger, "big")
    second = failed(ledger, "half", Origin(parent=first, proposer="remedy"))
    third = ledger.add_job(new_job("quarter", origin=Origin(parent=second, proposer="remedy")))
    ledger.finish_attempt(run_attempt(ledger, third), Ending(ended_at=1.0, outcome=Outcome.SUCCEEDED, returncode=0))
    ledger.close_loop(STUDY, LOOP, "round 1 is done")
    assert waited() == (0, f"Study act_ot: loop {LOOP} is finished (round 1 is done); 3 jobs, none failed.")

    ledger.open_loop(STUDY, LOOP + 1, {})
    assert waited()[0] == 130, "the newest loop is what counts"


def test_a_remedied_job_that_failed_too_counts(ledger: Ledger) -> None:
    first = failed(ledger, "big")
    failed(ledger, "half", Origin(parent=first, proposer="remedy"))
    ledger.close_loop(STUDY, LOOP, "round 1 is done")
    code, said = waited()
    assert (code, said.endswith("2 jobs, failed: half.")) == (1, True)


@pytest.mark.parametrize(
    "gone",
    [{"start_time": 1}, {"boot_id": "an earlier boot"}, {"pid": 2**22 + 1}],
    ids=["its number is another's", "another boot", "no such process"],
)
def test_a_process_that_is_not_the_supervisor_is_not_waited_for(ledger: Ledger, gone: dict[str, object]) -> None:
    ledger.record_supervisor(replace(me(), **gone))  # type: ignore[arg-type] # the fields that the parameters name
    code, said = waited()
    assert code == 130
    assert "nobody drives the study" in said


@pytest.mark.parametrize("host", [os.uname().nodename, "elsewhere"])
def test_a_study_that_is_driven_is_waited_for_no_longer_than_asked(ledger: Ledger, host: str) -> None:
    ledger.record_supervisor(replace(me(), host=host))
    assert waited(0.0) == (124, f"Study act_ot is still driven by process {os.getpid()} on {host}.")
    began = time.monotonic()
    assert waited(0.3)[0] == 124
    assert time.monotonic() - began >= 0.3


def test_one_that_left_but_does_not_end_is_not_waited_for_for_ever(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auto_loop.assembly.waiting._FAREWELL_S", 0.1)
    ledger.record_supervisor(me())
    ledger.supervisor_left(STUDY)
    assert waited()[0] == 130


def test_a_study_that_another_hosts_supervisor_left_is_left(ledger: Ledger) -> None:
    ledger.record_supervisor(replace(me(), host="elsewhere", boot_id="theirs"))
    ledger.supervisor_left(STUDY)
    assert waited()[0] == 130


def test_there_must_be_a_loop(ledger: Ledger) -> None:
    ledger.ensure_study("empty", "act_ot", "act_ot")
    with pytest.raises(RefusedError, match="study empty has no loop"):
        run_wait(WaitCall(study="empty"), print)
