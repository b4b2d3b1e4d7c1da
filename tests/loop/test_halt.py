"""Ending what still runs of a study that nobody drives: real processes, a real ledger."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from auto_loop.domain.job import (
    Attempt,
    Ending,
    Exit,
    Handle,
    Job,
    JobId,
    JobState,
    NewAttempt,
    Outcome,
    StopCause,
    StopIntent,
)
from auto_loop.launch import processes
from auto_loop.launch.base import LaunchRequest, Signal
from auto_loop.launch.claims import claimed
from auto_loop.launch.local import LocalLauncher
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.endings import Known, ending
from auto_loop.loop.halt import Fate, Halted, Means, halt
from tests.launch.make import request
from tests.ledger.make import LOOP, STUDY, new_job

PATIENCE_S = 30.0
POLITE = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
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
QUICK = "print('up', flush=True)\n"


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.01)


@dataclass
class Scene:
    """A study whose jobs run, without a supervisor."""

    folder: Path
    ledger: Ledger
    launcher: LocalLauncher

    @property
    def means(self) -> Means:
        def judge(seen: Exit, attempt: Attempt) -> Ending:
            return ending(seen, Known(stop=attempt.stop), ())

        return Means(ledger=self.ledger, launcher=self.launcher, judge=judge, clock=time.time)

    def intend(self, name: str, slot: int, source: str) -> tuple[JobId, LaunchRequest]:
        """A job that is STARTING; nothing has been launched."""
        script = self.folder / f"{name}.py"
        script.write_text(source)
        asked = request(self.folder, (sys.executable, "-S", str(script)), name=name)
        job = self.ledger.add_job(new_job(name))
        new = NewAttempt(
            job=job,
            slot=slot,
            token=asked.token,
            command=asked.argv,
            output_dir=name,
            log_file=str(asked.log_file),
            claim_file=str(asked.claim_file),
            exit_file=str(asked.exit_file),
        )
        self.ledger.start_attempt(new)
        return job, asked

    def run(self, name: str, slot: int, source: str, *, written: bool = True) -> tuple[JobId, LaunchRequest, Handle]:
        """A job whose process is up; `written`: the ledger knows its handle."""
        job, asked = self.intend(name, slot, source)
        handle = self.launcher.launch(asked)
        if written:
            self.ledger.mark_running(self.job(job).attempts[-1].id, handle, time.time())
        until(lambda: asked.log_file.exists() and "up" in asked.log_file.read_text())
        return job, asked, handle

    def job(self, job: JobId) -> Job:
        found = self.ledger.reading.job(job)
        assert found is not None
        return found

    def halt(self, grace_s: float = 30.0, *, for_good: bool = False) -> dict[str, Fate]:
        stop = StopIntent(at=time.time(), cause=StopCause.PERSON, text="stopped by ann@box", grace_s=grace_s)
        fates: tuple[Halted, ...] = halt(self.means, self.ledger.reading.open_jobs(STUDY), stop, for_good=for_good)
        return {one.job.name: one.fate for one in fates}


def alive(token: str) -> list[int]:
    return [pid for pid in processes.tree(None, token) if pid != os.getpid()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    launcher = LocalLauncher()
    with Ledger.open(tmp_path / "ledger.sqlite3", time.time) as ledger:
        ledger.ensure_study(STUDY, "act_ot", "act_ot")
        ledger.open_loop(STUDY, LOOP, {})
        made = Scene(folder=tmp_path, ledger=ledger, launcher=launcher)
        yield made
        for job in ledger.reading.open_jobs(STUDY):
            handle = job.attempts[-1].handle
            if handle is not None:
                launcher.signal(handle, Signal.KILL)
    launcher.close()


def test_polite_jobs_end_of_sigterm_and_are_written_down_as_stopped(scene: Scene) -> None:
    first, _, _ = scene.run("a", 0, POLITE)
    second, _, _ = scene.run("b", 1, POLITE)
    began = time.monotonic()
    assert scene.halt() == {"a": Fate.ENDED, "b": Fate.ENDED}
    assert time.monotonic() - began < 20  # far from the 30 s of grace
    for job in (scene.job(first), scene.job(second)):
        assert job.state is JobState.DONE
        assert job.outcome is Outcome.STOPPED
        attempt = job.attempts[-1]
        assert attempt.cause == "stopped by ann@box"
        assert attempt.stop is not None
        assert attempt.stop.cause is StopCause.PERSON
    kinds = [event.kind for _, event in scene.ledger.reading.events(LOOP)]
    assert kinds == ["job ended", "job ended"]


def test_a_stubborn_tree_is_dead_when_its_grace_is_over(scene: Scene) -> None:
    _, asked, _ = scene.run("a", 0, STUBBORN)
    assert len(alive(asked.token)) >= 2
    assert scene.halt(grace_s=0.5) == {"a": Fate.KILLED}
    assert alive(asked.token) == []
    assert scene.ledger.reading.open_jobs(STUDY) == ()


def test_without_grace_no_sigterm_comes_first(scene: Scene) -> None:
    source = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n" + POLITE
    _, asked, _ = scene.run("a", 0, source)
    assert scene.halt(grace_s=0.0) == {"a": Fate.KILLED}
    assert "asked" not in asked.log_file.read_text()
    assert alive(asked.token) == []


def test_an_attempt_without_a_claim_never_runs_and_its_job_is_queued_again(scene: Scene) -> None:
    job, asked = scene.intend("a", 0, POLITE)
    assert scene.halt() == {"a": Fate.NEVER_RAN}
    assert scene.job(job).state is JobState.QUEUED
    assert claimed(asked.claim_file, "local", asked.token) is None
    with contextlib.suppress(OSError):  # a launch that was under way all the time comes too late
        scene.launcher.launch(asked)
    until(lambda: not alive(asked.token))
    assert not asked.log_file.exists() or "up" not in asked.log_file.read_text()


def test_one_that_never_ran_and_is_stopped_for_good_is_cancelled(scene: Scene) -> None:
    job, _ = scene.intend("a", 0, POLITE)
    assert scene.halt(for_good=True) == {"a": Fate.NEVER_RAN}
    assert scene.job(job).outcome is Outcome.CANCELLED
    assert scene.job(job).attempts[-1].cause == "stopped by ann@box, before it was started"


def test_an_attempt_that_runs_by_its_claim_alone_is_found_and_stopped(scene: Scene) -> None:
    job, asked, _ = scene.run("a", 0, POLITE, written=False)
    assert scene.job(job).state is JobState.STARTING
    assert scene.halt() == {"a": Fate.ENDED}
    assert scene.job(job).outcome is Outcome.STOPPED
    assert alive(asked.token) == []


def test_what_was_over_before_is_left_to_whoever_knows_of_retries(scene: Scene) -> None:
    job, asked, _ = scene.run("a", 0, QUICK)
    until(asked.exit_file.exists)
    until(lambda: not alive(asked.token))
    assert scene.halt() == {"a": Fate.OVER_BEFORE}
    assert scene.job(job).state is JobState.RUNNING
    assert scene.job(job).attempts[-1].stop is None


def test_who_was_asked_before_is_not_asked_twice_but_killed_when_its_own_grace_is_over(scene: Scene) -> None:
    source = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
    source += "print('up', flush=True)\nend = time.time() + 600\nwhile time.time() < end: time.sleep(1)\n"
    job, asked, _ = scene.run("a", 0, source)
    before = StopIntent(at=time.time(), cause=StopCause.JOB_TIMEOUT, text="it took longer", grace_s=0.7)
    scene.ledger.ask_to_stop(scene.job(job).attempts[-1].id, before)
    assert scene.halt(grace_s=600) == {"a": Fate.KILLED}
    assert "asked" not in asked.log_file.read_text()
    assert scene.job(job).attempts[-1].stop == before


def test_a_process_that_only_has_the_pid_is_never_signalled(scene: Scene) -> None:
    stranger, asked, handle = scene.run("stranger", 0, POLITE)
    job, _ = scene.intend("a", 1, POLITE)
    attempt = scene.job(job).attempts[-1]
    reused = replace(handle, start_time=handle.start_time - 1, reference=attempt.token)
    scene.ledger.mark_running(attempt.id, reused, time.time())
    stop = StopIntent(at=time.time(), cause=StopCause.PERSON, text="stopped", grace_s=0.0)
    fates = halt(scene.means, [scene.job(job)], stop, for_good=True)
    assert [one.fate for one in fates] == [Fate.OVER_BEFORE]
    assert alive(asked.token)
    assert scene.job(stranger).state is JobState.RUNNING


def test_a_tree_whose_keeper_was_killed_is_found_by_its_token(scene: Scene) -> None:
    job, asked, handle = scene.run("a", 0, STUBBORN)
    os.kill(handle.pid, signal.SIGKILL)
    until(lambda: handle.pid not in alive(asked.token))
    began = time.monotonic()
    assert scene.halt(grace_s=0.5) == {"a": Fate.KILLED}
    assert time.monotonic() - began < 10
    assert alive(asked.token) == []
    assert scene.job(job).outcome is Outcome.STOPPED


def test_whoever_halts_may_be_interrupted_and_the_next_one_goes_on(scene: Scene) -> None:
    job, asked, _ = scene.run("a", 0, STUBBORN)

    def interrupted(handles: object, timeout_s: float | None) -> frozenset[Handle]:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene.launcher, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scene.halt(grace_s=0.5)
    assert scene.job(job).attempts[-1].stop is not None
    assert scene.halt(grace_s=600) == {"a": Fate.KILLED}  # by the first one's grace
    assert alive(asked.token) == []
