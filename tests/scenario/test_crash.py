"""The crash suite in short, with real processes; and that its books would see what they are there to see.

The long form is `python -m tests.scenario.crash --kills 200 --seed 1`.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.history import History
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, JobState, NewAttempt, Outcome
from auto_loop.domain.study import Loop, Study
from auto_loop.domain.summary import Summary
from tests.scenario.crash.books import Books, Evidence, Line, audit
from tests.scenario.crash.evidence import gather, is_locked, of_night
from tests.scenario.crash.faults import MOMENTS, supported
from tests.scenario.crash.night import REPOSITORY, Kind, Night


def passed(night: Night) -> Books:
    night.pass_by()
    return audit(gather(night.root, night.diary, night.cries), may_lose_attempts=night.kind.keepers_too)


def found(books: Books) -> dict[str, tuple[str, ...]]:
    return {kind: texts for kind, texts in books.faults.items() if texts}


def test_a_supervisor_that_is_killed_twenty_times_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    kind = Kind(kills=20, seed=11, quick=0.05, slow=0.6, longest_s=1.2)
    night = Night(root=tmp_path / "night", kind=kind)
    books = passed(night)
    assert found(books) == {}
    assert books.executions == books.results == books.jobs > 12
    assert sum(night.deaths.values()) == 20
    assert night.deaths["recovering"] > 0


def test_on_two_gpus_no_kill_brings_two_jobs_onto_one(tmp_path: Path) -> None:
    night = Night(root=tmp_path / "night", kind=Kind(kills=5, seed=3, gpus=2, quick=0.05, slow=0.6, longest_s=1.2))
    assert found(passed(night)) == {}
    assert {line["visible"] for line in diary_of(night)} == {"0", "1"}


def diary_of(night: Night) -> list[dict[str, str]]:
    return [
        dict(zip(("at", "what", "pid", "token", "visible", "output"), line.split(), strict=True))
        for line in night.diary.read_text().splitlines()
    ]


@pytest.mark.skipif(not supported(), reason="the supervisor has no fault points yet")
def test_a_death_at_any_fault_point_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """In a process of its own, as it forks; a few of each kind here, all of them by `--faults` alone."""
    command = [sys.executable, "-m", "tests.scenario.crash", "--faults", "--every", "6", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert all(counts[f"killed {moment}"] > 0 for moment in MOMENTS)


# What follows holds the books against nights that went wrong: a fault that cannot be found proves nothing.


def attempt(number: int = 1, slot: int = 0, outcome: Outcome | None = Outcome.SUCCEEDED, job: int = 1) -> Attempt:
    token = f"j{job}a{number}"
    new = NewAttempt(
        job=JobId(job),
        slot=slot,
        token=token,
        command=(),
        output_dir=token,
        log_file="",
        claim_file="",
        exit_file="",
    )
    made = Attempt.of(new, id=AttemptId(10 * job + number), number=number, created_at=1.0)
    return replace(made, outcome=outcome, ended_at=None if outcome is None else 2.0)


def job(*attempts: Attempt, number: int = 1, state: JobState = JobState.DONE) -> Job:
    return Job(
        id=JobId(number),
        study="s",
        loop=1,
        round=1,
        position=number,
        name=f"job{number}",
        cfg_file="",
        config=Config("{}"),
        output_dir="",
        state=state,
        outcome=attempts[-1].outcome if state is JobState.DONE else None,
        attempts=attempts,
    )


def evidence(*jobs: Job, diary: Sequence[Line] | None = None) -> Evidence:
    """A night in which every attempt ran from 10 · job to 10 · job + 5 s and left a claim and a summary."""
    attempts = [each for one in jobs for each in one.attempts]
    summary = Summary(run_dir="", config=Config("{}"), config_file="", outcome=Outcome.SUCCEEDED)
    return Evidence(
        history=History(
            study=Study(name="s", pack="", profile="", created_at=0.0),
            loops=(Loop(study="s", number=1, ended_at=99.0, end_reason="done"),),
            jobs=jobs,
            summaries={one.id: summary for one in jobs},
        ),
        claims={f"{each.token}.claim": each.token for each in attempts},
        diary=diary if diary is not None else [line for each in attempts for line in run(each.token, 10.0 * each.job)],
    )


def run(token: str, start: float, end: float | None = None, visible: str = "", output: str = "") -> list[Line]:
    def line(at: float, what: str) -> Line:
        return Line(at=at, what=what, pid=7, token=token, visible=visible, output=output or token)

    return [line(start, "start"), line(start + 5 if end is None else end, "end")]


GOOD = evidence(job(attempt()), job(attempt(job=2), number=2))


def test_a_good_night_has_clean_books() -> None:
    books = audit(GOOD)
    assert books.clean
    assert (books.jobs, books.results, books.executions) == (2, 2, 2)


@pytest.mark.parametrize(
    ("night", "kind"),
    [
        (replace(GOOD, diary=GOOD.diary[:-1]), "lost results"),
        (replace(GOOD, history=replace(GOOD.history, summaries={})), "lost results"),
        (evidence(job(attempt(outcome=Outcome.FAILED))), "lost results"),
        (evidence(job(attempt(outcome=None), state=JobState.RUNNING)), "lost results"),
        (replace(GOOD, diary=[*GOOD.diary, *run("j1a1", 60.0)]), "repeated executions"),
        (replace(GOOD, diary=[*GOOD.diary, *run("other", 60.0)]), "repeated executions"),
        (replace(GOOD, claims={**GOOD.claims, "x.claim": "other"}), "repeated executions"),
        (evidence(job(attempt(1, outcome=Outcome.LOST), attempt(2))), "repeated executions"),
        (evidence(job(attempt(1), attempt(2))), "repeated executions"),
        (replace(GOOD, processes={5: "python train.py"}), "orphans"),
        (evidence(job(attempt(outcome=None), state=JobState.RUNNING)), "stuck states"),
        (replace(GOOD, held=["outputs/x.lease"]), "stuck states"),
        (replace(GOOD, diary=[*run("j1a1", 10.0), *run("j2a1", 14.9)]), "double bookings"),
        (replace(GOOD, diary=[*run("j1a1", 10.0, visible="0,1"), *run("j2a1", 14.9, visible="1")]), "double bookings"),
        (replace(GOOD, diary=[*run("j1a1", 0.0, end=99.0), *run("j2a1", 20.0)]), "double bookings"),
        (replace(GOOD, left=["x.claim.77"]), "files left aside"),
        (replace(GOOD, cries=["a traceback"]), "supervisors that failed"),
    ],
)
def test_the_books_show(night: Evidence, kind: str) -> None:
    assert audit(night).faults[kind]


def test_jobs_on_two_slots_may_run_at_once() -> None:
    night = evidence(job(attempt()), job(attempt(slot=1, job=2), number=2))
    assert audit(replace(night, diary=[*run("j1a1", 10.0), *run("j2a1", 11.0)])).clean


def test_an_attempt_may_be_lost_only_where_keepers_are_killed_and_nothing_runs_twice_at_once_even_there() -> None:
    night = evidence(job(attempt(1, outcome=Outcome.LOST), attempt(2)))
    apart = replace(night, diary=[*run("j1a1", 10.0), *run("j1a2", 16.0)])
    assert not audit(apart).clean
    assert audit(apart, may_lose_attempts=True).clean
    left = replace(apart, left=[".codex_tmp/attempts/1_c.a1.exit.7"])
    assert audit(replace(GOOD, left=left.left)).faults["files left aside"]
    assert audit(left, may_lose_attempts=True).clean
    at_once = replace(night, diary=[*run("j1a1", 10.0), *run("j1a2", 14.0)])
    assert audit(at_once, may_lose_attempts=True).faults["repeated executions"]


def test_a_process_of_the_night_and_a_lock_that_is_held_are_seen(tmp_path: Path) -> None:
    diary, lease = tmp_path / "diary", tmp_path / "x.lease"
    lease.touch()
    program = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(lease)],
        env={"CRASH_DIARY": str(diary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        assert list(of_night(diary)) == [child.pid]
        assert is_locked(lease)
    finally:
        child.communicate(b"\n")
    assert of_night(diary) == {}
    assert not is_locked(lease)
