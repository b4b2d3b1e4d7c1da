"""`auto-loop stop`: a supervisor that answers, and one that is gone while its jobs train on."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auto_loop.cli.main import main
from auto_loop.domain.job import Ending, Job, JobId, JobState, NewAttempt, Outcome, StopCause
from auto_loop.domain.request import Request
from auto_loop.domain.study import Supervisor
from auto_loop.launch import processes
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.local import LocalLauncher
from auto_loop.ledger.lease import Lease
from auto_loop.ledger.ledger import Ledger
from tests.launch.make import request
from tests.ledger.make import LOOP, STUDY, new_job

PATIENCE_S = 30.0
# Ignores SIGTERM, and leaves a grandchild in a session of its own whose parents are gone.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
print("up", flush=True)
time.sleep(600)
"""
POLITE = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)


@dataclass
class Night:
    """A project whose supervisor is gone; `run` gives it a job that trains on all the same."""

    root: Path
    ledger: Ledger
    launcher: LocalLauncher

    @property
    def file(self) -> Path:
        return self.root / "outputs" / "ledger.sqlite3"

    def run(self, name: str, source: str, slot: int = 0) -> tuple[JobId, LaunchRequest]:
        script = self.root / f"{name}.py"
        script.write_text(source)
        asked = request(self.root, (sys.executable, "-S", str(script)), name=name)
        job = self.ledger.add_job(new_job(name))
        files = {"log_file": asked.log_file, "claim_file": asked.claim_file, "exit_file": asked.exit_file}
        attempt = self.ledger.start_attempt(
            NewAttempt(
                job=job,
                slot=slot,
                token=asked.token,
                command=asked.argv,
                output_dir=name,
                **{key: str(file) for key, file in files.items()},  # type: ignore[arg-type]  # three texts by name
            )
        )
        self.ledger.mark_running(attempt, self.launcher.launch(asked), time.time())
        until(lambda: asked.log_file.exists() and "up" in asked.log_file.read_text())
        return job, asked

    def job(self, job: JobId) -> Job:
        found = self.ledger.reading.job(job)
        assert found is not None
        return found


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER", "ann")
    launcher = LocalLauncher()
    with Ledger.open(tmp_path / "outputs" / "ledger.sqlite3", time.time) as ledger:
        ledger.ensure_study(STUDY, "act_ot", "act_ot")
        ledger.open_loop(STUDY, LOOP, {"grace": 0.5})
        ledger.record_supervisor(
            Supervisor(
                study=STUDY, host=os.uname().nodename, boot_id=processes.boot_id(), pid=1, start_time=1, since=1.0
            )
        )
        yield Night(root=tmp_path, ledger=ledger, launcher=launcher)
        for job in ledger.reading.open_jobs(STUDY):
            handle = job.attempts[-1].handle
            if handle is not None:
                launcher.signal(handle, Signal.KILL)
    launcher.close()


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["stop", *words], catch_exceptions=False)


def stop(*words: str, code: int = 0) -> str:
    result = call(*words)
    assert result.exit_code == code, result.output
    return result.output


def test_a_study_that_nobody_drives_is_stopped_from_here_within_its_grace(night: Night) -> None:
    first, tree = night.run("stubborn", STUBBORN)
    second, polite = night.run("polite", POLITE, slot=1)
    third = night.ledger.add_job(new_job("queued"))
    began = time.monotonic()
    said = stop(STUDY).splitlines()
    assert time.monotonic() - began < 10
    assert said[0] == "Nobody drives study act_ot: stopping stubborn and polite from here, with 0.5 s of grace."
    assert sorted(said[1:3]) == ["polite has stopped.", "stubborn was killed."]
    assert said[3] == "Its loop is unfinished: `auto-loop autorun --resume --study act_ot --exec` goes on with it."
    assert processes.tree(None, tree.token) == processes.tree(None, polite.token) == {}
    for job in (first, second):
        assert night.job(job).outcome is Outcome.STOPPED
        assert night.job(job).attempts[-1].cause.startswith("stopped by ann@")
    assert night.job(third).state is JobState.QUEUED
    assert night.ledger.reading.unfinished_loop(STUDY) is not None
    assert stop(STUDY).startswith("Nothing of study act_ot runs, and nobody drives it.\n")


def test_one_job_is_stopped_and_the_others_train_on(night: Night) -> None:
    one, _ = night.run("one", POLITE)
    other, asked = night.run("other", POLITE, slot=1)
    assert "one was killed." in stop("one", "--kill")
    assert night.job(one).outcome is Outcome.STOPPED
    attempt = night.job(one).attempts[-1]
    assert attempt.stop is not None
    assert (attempt.stop.cause, attempt.stop.grace_s) == (StopCause.PERSON, 0.0)
    assert night.job(other).state is JobState.RUNNING
    assert processes.tree(None, asked.token)


def test_a_queued_job_is_withdrawn(night: Night) -> None:
    job = night.ledger.add_job(new_job("queued"))
    assert stop(str(job)) == "queued was withdrawn from the queue.\n"
    assert night.job(job).outcome is Outcome.CANCELLED
    assert night.job(job).cause.startswith("withdrawn by ann@")
    assert "queued is over. It was cancelled before it ran: withdrawn by ann@" in stop("queued")


def test_draining_a_study_that_nobody_drives_touches_nothing(night: Night) -> None:
    job, asked = night.run("one", POLITE)
    assert "nothing more is launched, and what runs (one) goes on to its end" in stop(STUDY, "--drain")
    assert night.job(job).state is JobState.RUNNING
    assert processes.tree(None, asked.token)


def answering(night: Night, text: str, heard: list[Request]) -> threading.Thread:
    """A supervisor in a thread: it answers the first request that it sees."""

    def answer() -> None:
        with Ledger.open(night.file, time.time) as ledger:
            until(lambda: bool(ledger.requests.open(STUDY)))
            asked = ledger.requests.open(STUDY)[0]
            heard.append(asked)
            ledger.requests.answer(asked.id, text)

    made = threading.Thread(target=answer)
    made.start()
    return made


@pytest.mark.parametrize(
    ("words", "payload"),
    [
        (("one",), {"job": 1, "kill": False, "drain": False}),
        (("one", "--kill"), {"job": 1, "kill": True, "drain": False}),
        ((STUDY, "--drain"), {"job": None, "kill": False, "drain": True}),
    ],
)
def test_whoever_drives_the_study_is_asked_and_the_answer_is_said(
    night: Night, words: tuple[str, ...], payload: dict[str, object]
) -> None:
    night.ledger.add_job(new_job("one"))
    heard: list[Request] = []
    lease = Lease.take(night.file, STUDY)
    assert lease is not None
    with lease:
        supervisor = answering(night, "one is being stopped", heard)
        assert stop(*words) == ("One is being stopped.\n" if STUDY in words else "one is being stopped.\n")
        supervisor.join()
    asked = heard[0]
    assert asked.kind == "stop"
    assert str(asked.payload["by"]).startswith("ann@")
    assert {key: asked.payload[key] for key in payload} == payload


def test_a_supervisor_that_dies_before_it_answers_leaves_it_to_who_asked(night: Night) -> None:
    job = night.ledger.add_job(new_job("one"))
    lease = Lease.take(night.file, STUDY)
    assert lease is not None

    def die() -> None:
        with Ledger.open(night.file, time.time) as ledger:
            until(lambda: bool(ledger.requests.open(STUDY)))
        lease.close()

    dying = threading.Thread(target=die)
    dying.start()
    assert stop("one") == "one was withdrawn from the queue.\n"
    dying.join()
    assert night.job(job).outcome is Outcome.CANCELLED
    assert night.ledger.requests.open(STUDY) == ()  # the next supervisor must not find it and stop


def test_a_supervisor_that_does_not_answer_is_not_waited_for_for_ever(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auto_loop.assembly.stopping._ANSWER_S", 0.3)
    night.ledger.add_job(new_job("one"))
    lease = Lease.take(night.file, STUDY)
    assert lease is not None
    with lease:
        assert "has not answered yet" in stop("one")
    assert len(night.ledger.requests.open(STUDY)) == 1


def test_a_study_of_another_host_is_asked_and_its_lease_left_alone(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auto_loop.assembly.stopping._ANSWER_S", 0.3)
    job = night.ledger.add_job(new_job("one"))
    night.ledger.record_supervisor(
        Supervisor(study=STUDY, host="elsewhere", boot_id="b", pid=1, start_time=1, since=1.0)
    )
    assert "has not answered yet" in stop("one")
    assert night.job(job).state is JobState.QUEUED


def test_jobs_left_running_on_another_host_are_not_judged_from_here(night: Night) -> None:
    job, _ = night.run("one", POLITE)
    night.ledger.record_supervisor(
        Supervisor(study=STUDY, host="elsewhere", boot_id="b", pid=1, start_time=1, since=1.0)
    )
    night.ledger.supervisor_left(STUDY)
    result = call(STUDY)
    assert result.exit_code == 3
    assert "stop them on elsewhere" in result.output
    assert night.job(job).state is JobState.RUNNING


def test_of_a_name_in_several_loops_the_newest_is_meant(night: Night) -> None:
    old = night.ledger.add_job(new_job("one"))
    night.ledger.open_loop(STUDY, LOOP + 1, {})
    new = night.ledger.add_job(new_job("one", loop=LOOP + 1))
    stop("one")
    assert (night.job(old).state, night.job(new).outcome) == (JobState.QUEUED, Outcome.CANCELLED)


def test_a_name_of_a_job_and_a_study_must_be_made_clear(night: Night) -> None:
    job = night.ledger.add_job(new_job(STUDY))
    result = call(STUDY)
    assert result.exit_code == 2
    assert f"act_ot is the name of a study and of a job (--study act_ot for the study, --job {job}" in result.output
    assert stop("--job", STUDY) == "act_ot was withdrawn from the queue.\n"
    assert stop("--study", STUDY).startswith("Nothing of study act_ot runs")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("onf",), 3, "there is no job or study called onf (near it: one)"),
        ((), 2, "what is to be stopped is not said (name a job or a study)"),
        (("one", "--drain"), 2, "--drain is for a whole study"),
        ((STUDY, "--drain", "--kill"), 2, "--kill and --drain exclude each other"),
        (("--study", "nope"), 3, "there is no study nope"),
        (("one", "--ledger", "none.sqlite3"), 3, "there is no ledger"),
    ],
)
def test_what_cannot_be_stopped_is_refused(night: Night, words: tuple[str, ...], code: int, said: str) -> None:
    night.ledger.add_job(new_job("one"))
    assert said in stop(*words, code=code)


def test_a_job_that_is_over_says_how_it_ended(night: Night) -> None:
    job, _ = night.run("one", "print('up')\n")
    attempt = night.job(job).attempts[-1]
    night.ledger.finish_attempt(attempt.id, Ending(ended_at=time.time(), outcome=Outcome.SUCCEEDED, returncode=0))
    assert "it succeeded." in stop("one")
