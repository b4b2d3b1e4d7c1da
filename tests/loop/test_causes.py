"""The words for why a slot is idle, why a job waits, and what became of one."""

from datetime import UTC

import pytest

from auto_loop.domain.config import Config
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import (
    Attempt,
    AttemptId,
    Job,
    JobId,
    JobState,
    Origin,
    Outcome,
    StopCause,
    StopIntent,
)
from auto_loop.domain.slot import Blocked, Device, Gpu, Slot, SlotState
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.accounts import Asked, account
from auto_loop.loop.causes import Line, Scene, idle_causes, listed, time_text, waiting_cause

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC
GPUS = tuple(Gpu(index=n, uuid=f"GPU-{n}", name="A100", memory_total=1) for n in (0, 3))
SLOTS = tuple(Slot(index=n, device=Device.CUDA, gpus=(gpu,)) for n, gpu in enumerate(GPUS))


def attempt(number: int = 1, **more: object) -> Attempt:
    given: dict[str, object] = {
        "id": AttemptId(number),
        "job": JobId(1),
        "number": number,
        "slot": 0,
        "gpus": ("GPU-0",),
        "token": "t",
        "command": (),
        "output_dir": "",
        "log_file": "",
        "claim_file": "",
        "exit_file": "",
        "created_at": NOON - 60,
    }
    return Attempt(**(given | more))  # type: ignore[arg-type]  # the tests name the fields


def failed(number: int = 1, failure: Failure = Failure.TRANSIENT, cause: str = "the port was taken") -> Attempt:
    return attempt(number, outcome=Outcome.FAILED, failure=failure, cause=cause, ended_at=NOON - 5)


def job(name: str = "c0", **more: object) -> Job:
    given: dict[str, object] = {
        "id": JobId(1),
        "study": "s",
        "loop": 7,
        "round": 2,
        "position": 1,
        "name": name,
        "cfg_file": "",
        "config": Config.of({}),
        "output_dir": "",
    }
    return Job(**(given | more))  # type: ignore[arg-type]  # the tests name the fields


def snapshot(queue: tuple[Job, ...] = (), active: tuple[Job, ...] = (), queued: int | None = None) -> Snapshot:
    number = len(queue) if queued is None else queued
    return Snapshot(
        study="s", loop=7, round=2, active=active, queue=queue, queued=number, queued_in_round=number, done=3
    )


def scene(seen: Snapshot, **more: object) -> Scene:
    given: dict[str, object] = {"snapshot": seen, "slots": SLOTS, "holders": {}, "blocked": {}, "zone": UTC}
    return Scene(**(given | more))  # type: ignore[arg-type]  # the tests name the fields


def test_a_held_slot_has_no_cause_and_the_other_one_waits_for_the_round_to_end() -> None:
    running = (job("a", state=JobState.RUNNING, attempts=(attempt(),)),)
    causes = idle_causes(scene(snapshot(active=running), holders={0: "a"}), NOON)
    assert causes == {0: "", 1: "no job is queued: the end of round 2 waits for a"}


def test_of_many_that_are_waited_for_the_first_are_named() -> None:
    running = tuple(job(name, state=JobState.RUNNING, attempts=(attempt(),)) for name in "abcdef")
    assert idle_causes(scene(snapshot(active=running)), NOON)[0].endswith("waits for a, b, c and 3 more")


def test_nothing_queued_and_nothing_running_is_a_round_being_decided() -> None:
    causes = idle_causes(scene(snapshot()), NOON)
    assert set(causes.values()) == {"no job is queued: round 2 is over, and what follows is being decided"}


def test_a_back_off_says_until_when_and_after_what() -> None:
    waits = job(not_before=NOON + 65, attempts=(failed(),))
    assert idle_causes(scene(snapshot((waits,))), NOON)[0] == (
        "every queued job waits for its back-off: c0 until 12:01:05 (attempt 1 failed (transient): the port was taken)"
    )


def test_a_cause_stays_the_same_text_while_nothing_changes() -> None:
    seen = scene(snapshot((job(not_before=NOON + 65, attempts=(failed(),)),)))
    assert idle_causes(seen, NOON) == idle_causes(seen, NOON + 60)


def test_what_may_start_is_being_launched_and_the_slot_too_many_says_so() -> None:
    causes = idle_causes(scene(snapshot((job("a"),))), NOON)
    assert causes[0] == "a is being launched"
    assert causes[1] == "1 job is queued, and other slots take what may start now"


def test_a_blocked_slot_gives_its_job_to_the_next() -> None:
    causes = idle_causes(scene(snapshot((job("a"),)), blocked={0: Blocked(cause="GPU 0 is used by process 9")}), NOON)
    assert causes == {0: "GPU 0 is used by process 9", 1: "a is being launched"}


@pytest.mark.parametrize(("lost", "cause"), [(False, "Ctrl-C"), (True, "GPU 0 fell off the bus")])
def test_what_holds_everything_back_goes_before_a_busy_gpu_but_not_before_a_lost_one(lost: bool, cause: str) -> None:
    blocked = {0: Blocked(cause="GPU 0 fell off the bus", lost=lost)}
    causes = idle_causes(scene(snapshot((job(),)), blocked=blocked, held_back="Ctrl-C"), NOON)
    assert causes == {0: cause, 1: "Ctrl-C"}


BUSY = SlotState(index=0, place="GPU 0", gpus=("GPU-0",), numbers=(0,))
IDLE = SlotState(index=1, place="GPU 3", gpus=("GPU-3",), numbers=(3,), cause="GPU 3 is used by process 9")


def line(*slots: SlotState, undriven: str = "") -> Line:
    return Line(slots=slots, holders={0: "a"}, undriven=undriven, zone=UTC)


@pytest.mark.parametrize(
    ("waits", "ahead", "behind", "cause"),
    [
        (job(), 0, line(BUSY), "it is next; the only slot is held: slot 0 (GPU 0) by a"),
        (
            job(),
            1,
            line(BUSY, BUSY),
            "1 job is ahead of it; every slot is held: slot 0 (GPU 0) by a and slot 0 (GPU 0) by a",
        ),
        (job(), 2, line(BUSY, IDLE), "2 jobs are ahead of it; slot 1 (GPU 3) is idle: GPU 3 is used by process 9"),
        (job(), 0, line(), "no slot is open yet: the supervisor is just starting"),
        (job(), 0, line(BUSY, undriven="nobody drives the study"), "nobody drives the study"),
        (
            job(not_before=NOON + 5, attempts=(failed(),)),
            0,
            line(IDLE),
            "it is tried again at 12:00:05: attempt 1 failed (transient): the port was taken",
        ),
    ],
)
def test_why_a_queued_job_waits(waits: Job, ahead: int, behind: Line, cause: str) -> None:
    assert waiting_cause(waits, ahead, behind, NOON) == cause


def test_slots_that_are_idle_for_one_reason_are_said_in_one_breath() -> None:
    full = [SlotState(index=n, place="CPU, 2 threads", cause="the disk is full") for n in range(3)]
    assert (
        waiting_cause(job(), 0, line(*full), NOON) == "it is next; slot 0, slot 1 and slot 2 are idle: the disk is full"
    )


def test_a_running_job_that_is_to_stop_says_who_asked_and_when_it_is_killed() -> None:
    stop = StopIntent(at=NOON - 10, cause=StopCause.PERSON, text="stopped by ann@box", grace_s=30)
    runs = job(state=JobState.RUNNING, attempts=(failed(1), attempt(2, started_at=NOON - 50, stop=stop)))
    assert account(Asked(job=runs, line=line(BUSY)), NOON) == (
        "It runs on slot 0 (GPU 0), since 11:59:10, attempt 2",
        "It was asked to stop at 11:59:50 (stopped by ann@box); at 12:00:20 it is killed",
        "Attempt 1 failed (transient): the port was taken",
    )


def test_a_running_job_that_nobody_watches_says_so() -> None:
    runs = job(state=JobState.RUNNING, attempts=(attempt(started_at=NOON - 50),))
    told = account(Asked(job=runs, line=line(undriven="nobody drives the study: X"), gone=True), NOON)
    assert told[1] == "But nobody drives the study: X"
    assert told[2].startswith("Its process is gone")


def test_a_failed_job_names_what_came_in_its_place() -> None:
    out = failed(1, Failure.OUT_OF_MEMORY, "CUDA out of memory")
    over = job(state=JobState.DONE, outcome=Outcome.FAILED, attempts=(out,))
    child = job("c0_x", origin=Origin(parent=JobId(1), proposer="remedy", changes=("batch_size@mul=0.5",)))
    assert account(Asked(job=over, line=line(), children=(child,)), NOON) == (
        "At 11:59:55 it failed (out of memory): CUDA out of memory",
        "In its place: c0_x (batch_size@mul=0.5)",
    )
    assert account(Asked(job=over, line=line()), NOON)[-1] == "It is not tried again"


def test_other_ends_in_words() -> None:
    stopped = attempt(outcome=Outcome.STOPPED, cause="stopped by ann@box", ended_at=NOON)
    assert account(
        Asked(job=job(state=JobState.DONE, outcome=Outcome.STOPPED, attempts=(stopped,)), line=line()), NOON
    ) == ("At 12:00:00 it was stopped by ann@box",)
    never = job(state=JobState.DONE, outcome=Outcome.CANCELLED, cause="withdrawn by ann@box")
    assert account(Asked(job=never, line=line()), NOON) == ("It was cancelled before it ran: withdrawn by ann@box",)
    lost = attempt(outcome=Outcome.LOST, failure=Failure.LOST, cause="nobody saw how it ended", ended_at=NOON)
    told = account(Asked(job=job(state=JobState.DONE, outcome=Outcome.LOST, attempts=(lost,)), line=line()), NOON)
    assert told == ("At 12:00:00 it was lost: nobody saw how it ended", "It is not tried again")


def test_lists_and_times() -> None:
    assert [listed(list("abcdef")[:n]) for n in (0, 1, 2, 4, 5)] == [
        "",
        "a",
        "a and b",
        "a, b, c and d",
        "a, b, c and 2 more",
    ]
    assert time_text(NOON + 86_400, NOON, UTC) == "2023-11-16 12:00:00"
