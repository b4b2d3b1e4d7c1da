"""The planner: pure, so every case is a value."""

from dataclasses import replace

from auto_loop.domain.config import Config
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, JobState
from auto_loop.domain.slot import Device, Gpu, Slot
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.actions import EndRound, Intent, Launch, Leave, Terminate
from auto_loop.loop.plan import Stage, Stops, free_slots, plan

SLOTS = (Slot(index=0, device=Device.CPU), Slot(index=1, device=Device.CPU))


def job(number: int, slot: int | None = None) -> Job:
    attempts = () if slot is None else (attempt(number, slot),)
    return Job(
        id=JobId(number),
        study="s",
        loop=1,
        round=1,
        position=number,
        name=f"j{number}",
        cfg_file=f"j{number}.json",
        config=Config.of({}),
        output_dir=f"out/j{number}",
        state=JobState.QUEUED if slot is None else JobState.RUNNING,
        attempts=attempts,
    )


def attempt(number: int, slot: int) -> Attempt:
    return Attempt(
        id=AttemptId(number),
        job=JobId(number),
        number=1,
        slot=slot,
        gpus=(),
        token=f"t{number}",
        command=("true",),
        output_dir="out",
        log_file="log",
        claim_file="claim",
        exit_file="exit",
        created_at=0.0,
    )


def snapshot(active: tuple[Job, ...] = (), queue: tuple[Job, ...] = ()) -> Snapshot:
    return Snapshot(study="s", loop=1, round=2, active=active, queue=queue, queued=len(queue), done=0)


def stopping(stops: Stops) -> Stage:
    return Stage(slots=SLOTS, intent=Intent.STOP, stops=stops)


def gpu_slot(index: int, *gpus: int) -> Slot:
    held = tuple(Gpu(index=n, uuid=f"GPU-{n}", name="H", memory_total=1) for n in gpus)
    return Slot(index=index, device=Device.CUDA, gpus=held)


def test_an_adopted_attempt_keeps_its_gpus_whatever_slot_they_are_in_now() -> None:
    adopted = replace(attempt(9, 0), gpus=("GPU-3",))
    slots = (gpu_slot(0, 2), gpu_slot(1, 3))
    assert [slot.index for slot in free_slots(slots, (), (adopted,))] == [0]


def test_of_slots_that_share_a_gpu_an_adopted_attempt_holds_one() -> None:
    adopted = replace(attempt(9, 0), gpus=("GPU-0",))
    slots = (gpu_slot(0, 0), gpu_slot(1, 0))
    assert [slot.index for slot in free_slots(slots, (), (adopted,))] == [1]
    assert free_slots(slots, (), (adopted, adopted)) == ()


def test_an_adopted_attempt_on_the_cpu_keeps_its_number() -> None:
    assert free_slots(SLOTS, (), (attempt(9, 1),)) == (SLOTS[0],)
    assert free_slots(SLOTS, (), (attempt(9, 5),)) == SLOTS


def test_free_slots_take_queued_jobs_in_order() -> None:
    actions = plan(snapshot(queue=(job(1), job(2), job(3))), Stage(slots=SLOTS), 0.0)
    assert actions == (Launch(job=job(1), slot=SLOTS[0]), Launch(job=job(2), slot=SLOTS[1]))


def test_a_freed_slot_takes_the_next_job_whatever_its_number() -> None:
    actions = plan(snapshot(active=(job(1, slot=1),), queue=(job(7),)), Stage(slots=SLOTS), 0.0)
    assert actions == (Launch(job=job(7), slot=SLOTS[0]),)


def test_nothing_is_planned_while_every_slot_is_held() -> None:
    active = (job(1, slot=0), job(2, slot=1))
    assert plan(snapshot(active=active, queue=(job(3),)), Stage(slots=SLOTS), 0.0) == ()


def test_a_round_ends_when_nothing_runs_and_nothing_waits() -> None:
    assert plan(snapshot(), Stage(slots=SLOTS), 0.0) == (EndRound(round=2),)
    assert plan(snapshot(active=(job(1, slot=0),)), Stage(slots=SLOTS), 0.0) == ()


def test_draining_launches_nothing_and_waits_for_what_runs() -> None:
    draining = Stage(slots=SLOTS, intent=Intent.DRAIN)
    assert plan(snapshot(active=(job(1, slot=0),), queue=(job(2),)), draining, 0.0) == ()
    assert plan(snapshot(queue=(job(2),)), draining, 0.0) == (Leave(reason="interrupted"),)


def test_stopping_asks_once_then_kills_once_after_the_grace() -> None:
    running = job(1, slot=0)
    asked = Stops(asked={AttemptId(1): 10.0}, grace_s=5.0)
    killed = Stops(asked={AttemptId(1): 10.0}, killed=frozenset({AttemptId(1)}), grace_s=5.0)
    state = snapshot(active=(running,))
    assert plan(state, stopping(Stops()), 10.0) == (Terminate(attempt=running.attempts[0], kill=False),)
    assert plan(state, stopping(asked), 15.0) == ()
    assert plan(state, stopping(asked), 15.1) == (Terminate(attempt=running.attempts[0], kill=True),)
    assert plan(state, stopping(killed), 99.0) == ()


def test_leaving_leaves_at_once() -> None:
    actions = plan(snapshot(active=(job(1, slot=0),)), Stage(slots=SLOTS, intent=Intent.LEAVE), 0.0)
    assert [type(action) for action in actions] == [Leave]
