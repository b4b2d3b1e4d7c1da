"""Whole loops in which things go wrong: failures are classed, retried, remedied or left; none ends a study."""

import itertools
import json
from pathlib import Path

import pytest

from auto_loop.domain.errors import RefusedError
from auto_loop.domain.event import Event
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Job, JobState, Outcome
from auto_loop.domain.study import Supervisor
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.stub import Act, StubLauncher
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from tests.scenario.harness import PACK, World

REMEDY = """
[guardrails]
allow = ["lr", "batch_size"]

[[remedy]]
failure = "out of memory"
change = { "batch_size@mul" = 0.5 }
reason = "half the batch"
"""
OOM = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(root=tmp_path)
    (tmp_path / "pack.toml").write_text(PACK + REMEDY)
    return made


def batch_of(world: World, request: LaunchRequest) -> int:
    words = dict(word.split("=", 1) for word in request.argv if "=" in word)
    size: int = json.loads((world.root / words["--config_path"]).read_text())["batch_size"]
    return size


def with_batch(world: World, size: int) -> tuple[str, ...]:
    (world.root / "c0.json").write_text(json.dumps({"lr": 0.1, "batch_size": size}))
    return ("c0.json",)


def by_name(world: World) -> dict[str, Job]:
    return {job.name: job for job in world.history().jobs}


def kinds(world: World) -> list[str]:
    return [event.kind for event in world.watching.events]


def test_out_of_memory_is_remedied_by_a_child_in_the_same_place_of_the_round(world: World) -> None:
    def script(request: LaunchRequest) -> Act:
        if batch_of(world, request) > 8:
            return Act(duration_s=2.0, returncode=1, inner=OOM)
        return Act(duration_s=10.0, on_end=world.logs)

    code = world.run(script, cfgs=with_batch(world, 32), decide=True, rounds=2)
    assert code == 0, "its place was taken, and that one succeeded"
    jobs = world.history().jobs
    first = [job for job in jobs if job.round == 1]
    assert [job.config.data()["batch_size"] for job in first] == [32, 16, 8]
    assert [job.outcome for job in first] == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]
    assert [job.attempts[-1].failure for job in first] == [Failure.OUT_OF_MEMORY, Failure.OUT_OF_MEMORY, None]
    assert [job.origin.parent for job in first[1:]] == [first[0].id, first[1].id]
    assert len([job for job in jobs if job.round == 2]) == 1, "one place, as --cfgs had one"
    assert [one.silence.cause for one in world.history().silences if one.round == 1] == ["replaced", "replaced"]


def test_a_remedy_is_bounded_and_a_batch_of_one_cannot_be_halved(world: World) -> None:
    world.run(lambda request: Act(returncode=1, inner=OOM), cfgs=with_batch(world, 1024))
    sizes = [job.config.data()["batch_size"] for job in world.history().jobs]
    assert sizes == [1024, 512, 256, 128], "three times, and no more"
    settled = [event.detail["text"] for event in world.watching.of("job settled")]
    assert len(settled) == 1
    assert "3 times" in str(settled[0])


def test_what_may_pass_is_tried_again_with_back_off_and_at_most_so_often(world: World) -> None:
    seen: list[float] = []

    def script(request: LaunchRequest) -> Act:
        seen.append(world.clock.now)
        return Act(duration_s=1.0, returncode=1, inner="OSError: [Errno 98] EADDRINUSE: Address already in use")

    assert world.run(script, cfgs=world.configs(1), retries=3) == 1
    (job,) = world.history().jobs
    assert [attempt.failure for attempt in job.attempts] == [Failure.TRANSIENT] * 4
    gaps = [later - earlier - 1.0 for earlier, later in itertools.pairwise(seen)]
    assert gaps == pytest.approx([10.0, 20.0, 40.0], abs=0.5)
    assert [attempt.output_dir.rpartition("/")[2] for attempt in job.attempts] == ["c0", "c0.a2", "c0.a3", "c0.a4"]


def test_a_transient_failure_costs_a_try_and_no_more(world: World) -> None:
    tries = iter([Act(returncode=-15), Act(duration_s=10.0, on_end=world.logs)])
    assert world.run(lambda request: next(tries), cfgs=world.configs(1)) == 0
    (job,) = world.history().jobs
    assert (job.outcome, len(job.attempts)) == (Outcome.SUCCEEDED, 2)
    assert job.attempts[0].failure is Failure.PREEMPTED


def test_a_config_that_the_trainer_refuses_is_never_tried_again_and_the_study_goes_on(world: World) -> None:
    def script(request: LaunchRequest) -> Act:
        if "c0" in request.log_file.name:
            return Act(returncode=2, inner="SystemExit: 2")
        return Act(duration_s=10.0, on_end=world.logs)

    assert world.run(script, cfgs=world.configs(2), decide=True, rounds=2) == 1
    jobs = by_name(world)
    assert len(jobs["c0"].attempts) == 1
    assert jobs["c0"].attempts[0].failure is Failure.CONFIG_REFUSED
    assert max(job.round for job in jobs.values()) == 2


def test_a_lost_attempt_is_tried_again_from_its_checkpoint_in_the_same_folder(tmp_path: Path) -> None:
    world = World(root=tmp_path)
    (tmp_path / "own.toml").write_text(
        'starter = "python"\n[config]\nstyle = "draccus"\n'
        '[resume]\nconfig = "checkpoints/last/config.json"\nflags = ["--resume=true"]\n'
    )

    def saves(request: LaunchRequest) -> None:
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        folder = world.root / words["--output_dir"] / "checkpoints/last"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")

    tries = iter([Act(vanishes=True, on_end=saves), Act(duration_s=10.0)])
    assert world.run(lambda request: next(tries), cfgs=world.configs(1), profile="own.toml") == 0
    (job,) = world.history().jobs
    lost, again = job.attempts
    assert (lost.outcome, lost.failure) == (Outcome.LOST, Failure.LOST)
    assert again.output_dir == lost.output_dir
    assert f"--config_path={lost.output_dir}/checkpoints/last/config.json" in again.command
    assert "--resume=true" in again.command


def test_a_run_that_logs_nothing_is_stopped_and_tried_again(world: World) -> None:
    tries = iter([Act(duration_s=1e6, on_term_s=0.5), Act(duration_s=10.0, on_end=world.logs)])
    assert world.run(lambda request: next(tries), cfgs=world.configs(1), start_timeout=60.0) == 0
    (job,) = world.history().jobs
    hung = job.attempts[0]
    assert (hung.outcome, hung.failure) == (Outcome.FAILED, Failure.HANG)
    assert hung.stop is not None
    assert 60.0 < hung.stop.at - (hung.started_at or 0.0) < 65.0
    assert "--start-timeout" in hung.cause


def test_a_run_that_takes_too_long_is_stopped_for_good_and_killed_when_it_does_not_listen(world: World) -> None:
    act = Act(duration_s=1e6, on_term_s=None)
    world.run(lambda request: act, cfgs=world.configs(1), job_timeout=100.0, start_timeout=0.0, grace=7.0)
    (job,) = world.history().jobs
    (attempt,) = job.attempts
    assert attempt.outcome is Outcome.STOPPED
    assert attempt.stop is not None
    assert (attempt.ended_at or 0.0) - attempt.stop.at == pytest.approx(7.0, abs=1.0)
    assert [str(kind) for _, kind in world.launchers[0].signals] == ["TERM", "KILL"]


def test_when_max_hours_are_over_all_is_stopped_and_the_loop_can_go_on(world: World) -> None:
    cfgs = world.configs(3)
    assert world.run(world.trains(3000.0), cfgs=cfgs, concurrency=1, max_hours=1.0, start_timeout=0.0) == 130
    outcomes = [job.outcome for job in world.history().jobs]
    assert outcomes == [Outcome.SUCCEEDED, Outcome.STOPPED, None]
    assert any("--max-hours 1 is over" in text for text in world.said)
    world.run(world.trains(), cfgs=(), resume=True, study="pack")
    assert [job.state for job in world.history().jobs] == [JobState.DONE] * 3


def asks(world: World, **payload: object) -> None:
    requests = Requests.connect(world.root / "outputs/ledger.sqlite3", world.clock)
    requests.add("pack", "stop", {"job": None, "kill": False, "drain": False, "by": "ann@box", **payload})  # type: ignore[dict-item] # plain JSON
    requests.close()


@pytest.fixture
def once() -> list[int]:
    return []


def test_a_request_stops_one_job_and_the_others_go_on(world: World, once: list[int]) -> None:
    def react(event: Event) -> None:
        if event.kind == "progress" and not once:
            once.append(1)
            asks(world, job=1)
            asks(world, job=3)

    world.watching.react = react
    world.run(world.trains(50.0), cfgs=world.configs(3), concurrency=2)
    jobs = world.history().jobs
    assert [job.outcome for job in jobs] == [Outcome.STOPPED, Outcome.SUCCEEDED, Outcome.CANCELLED]
    assert "ann@box" in jobs[0].attempts[0].cause
    reading = Reading.open(world.root / "outputs/ledger.sqlite3")
    assert reading.snapshot("pack", jobs[0].loop, 0).requests == ()
    reading.close()


@pytest.mark.parametrize(("payload", "outcome"), [({}, Outcome.STOPPED), ({"drain": True}, Outcome.SUCCEEDED)])
def test_a_request_ends_the_study_with_its_jobs_or_after_them(
    world: World, once: list[int], payload: dict[str, object], outcome: Outcome
) -> None:
    def react(event: Event) -> None:
        if event.kind == "progress" and not once:
            once.append(1)
            asks(world, **payload)

    world.watching.react = react
    assert world.run(world.trains(50.0), cfgs=world.configs(2), concurrency=1) == 130
    assert [job.outcome for job in world.history().jobs] == [outcome, None]
    assert any(str(event.detail["text"]).startswith("Asked by ann@box") for event in world.watching.of("said"))


def test_a_full_disk_stops_the_launches_and_loses_nothing(world: World, once: list[int]) -> None:
    full = {"before commit": False}

    def fault(moment: str) -> None:
        if moment == "before commit" and full["before commit"]:
            raise OSError(28, "No space left on device")

    def react(event: Event) -> None:
        if event.kind == "progress" and not once:
            once.append(1)
            full["before commit"] = True
        if event.kind == "said" and "DISK IS FULL" in str(event.detail["text"]):
            full["before commit"] = False

    world.watching.react = react
    world.fault = fault
    assert world.run(world.trains(50.0), cfgs=world.configs(3), concurrency=1) == 0
    texts = [str(event.detail["text"]) for event in world.watching.of("said")]
    assert any("THE DISK IS FULL" in text for text in texts)
    assert any("room on the disk again" in text for text in texts)
    assert [job.outcome for job in world.history().jobs] == [Outcome.SUCCEEDED] * 3
    assert len(world.requests) == 3


def test_with_too_little_room_nothing_is_launched_and_the_cause_is_kept(world: World, once: list[int]) -> None:
    world.least_free = 1 << 62
    causes: list[str] = []

    def react(event: Event) -> None:
        if event.kind == "progress":
            with Ledger.open(world.root / "outputs/ledger.sqlite3", world.clock) as ledger:
                causes.extend(one.cause for one in ledger.reading.slots(event.loop))
            asks(world)

    world.watching.react = react
    assert world.run(cfgs=world.configs(1)) == 130
    assert world.requests == []
    assert "the disk is full" in causes[0]
    said = [str(event.detail["text"]) for event in world.watching.of("said")]
    assert len([text for text in said if text.startswith("Nothing is launched: the disk is full")]) == 1


def test_a_study_that_another_host_never_left_is_taken_only_when_that_is_asked_for(world: World) -> None:
    cfgs = world.configs(1)
    world.run(cfgs=cfgs, study="pack")
    away = Supervisor(study="pack", host="far", boot_id="b", pid=7, start_time=1, since=1.7e9)
    with Ledger.open(world.root / "outputs/ledger.sqlite3", world.clock) as ledger:
        ledger.record_supervisor(away)
    with pytest.raises(RefusedError, match=r"process 7 on far since .*--take-over"):
        world.run(cfgs=cfgs, study="pack")
    assert world.run(cfgs=cfgs) == 0
    assert any("pack-2" in text for text in world.said)
    assert world.run(cfgs=cfgs, study="pack", take_over=True) == 0
    assert any("taken over from process 7 (on far, as asked" in text for text in world.said)
    with Ledger.open(world.root / "outputs/ledger.sqlite3", world.clock) as ledger:
        left = ledger.reading.supervisor("pack")
    assert left is not None
    assert (left.host, left.ended_at is not None) == ("localhost", True)


def test_a_stop_outlives_the_supervisor_that_was_killed_over_it(world: World) -> None:
    launcher = StubLauncher(lambda request: Act(duration_s=1e6, on_term_s=None), world.clock)

    class Killed(BaseException):
        """The supervisor dies without a word."""

    def react(event: Event) -> None:
        if event.kind == "progress":
            asks(world, job=1)
        if event.kind == "job stopping":
            raise Killed

    world.watching.react = react
    with pytest.raises(Killed):
        world.run(cfgs=world.configs(1), launcher=launcher)
    world.watching.react = lambda event: None
    world.run(cfgs=(), resume=True, study="pack", launcher=launcher)
    assert str(launcher.signals[-1][1]) == "KILL"
    assert [job.outcome for job in world.history().jobs] == [Outcome.STOPPED]
