"""The planner: pure, so every case is a value."""

from dataclasses import replace

from auto_loop.domain.config import Config
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, JobState, StopCause, StopIntent
from auto_loop.domain.request import Request, RequestId
from auto_loop.domain.slot import Blocked, Device, Gpu, Slot
from auto_loop.domain.snapshot import Snapshot
from auto_loop.loop.actions import Answer, Cancel, EndRound, Intent, Launch, Leave, Stop, Terminate, Warn, heard
from auto_loop.loop.live import Fired, Judged
from auto_loop.loop.plan import free_slots, plan
from auto_loop.loop.pulse import Limits, Pulse
from auto_loop.loop.stage import Asked, Stage
from auto_loop.rules.condition import parse_condition
from auto_loop.rules.facts import Facts
from auto_loop.rules.model import Stop as Rule
from auto_loop.rules.template import parse_template

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
    queued = len(queue)
    return Snapshot(
        study="s", loop=1, round=2, active=active, queue=queue, queued=queued, queued_in_round=queued, done=0
    )


def stopped(number: int, slot: int, stop: StopIntent) -> Job:
    running = job(number, slot)
    return replace(running, attempts=(replace(running.attempts[0], stop=stop),))


def asked_by_person(at: float, grace_s: float) -> StopIntent:
    return StopIntent(at=at, cause=StopCause.PERSON, text="stopped on request", grace_s=grace_s)


def request(**payload: object) -> Request:
    return Request(id=RequestId(1), study="s", kind="stop", payload={"job": None, "by": "ann@box", **payload})  # type: ignore[dict-item] # plain JSON


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


def test_stopping_writes_the_intent_asks_once_and_kills_once_after_the_grace() -> None:
    running, stop, one = job(1, slot=0), asked_by_person(10.0, 5.0), frozenset({AttemptId(1)})
    stage = Stage(slots=SLOTS, intent=Intent.STOP, grace_s=5.0)
    first = running.attempts[0]
    planned = plan(snapshot(active=(running,)), stage, 10.0)
    assert planned == (Stop(attempt=first, stop=stop), Terminate(attempt=first, kill=False))
    running = stopped(1, 0, stop)
    state, last = snapshot(active=(running,)), running.attempts[0]
    assert plan(state, replace(stage, signalled=one), 14.9) == ()
    assert plan(state, replace(stage, signalled=one), 15.0) == (Terminate(attempt=last, kill=True),)
    assert plan(state, replace(stage, signalled=one, killed=one), 99.0) == ()


def test_a_supervisor_that_takes_over_goes_on_with_the_stop_that_it_finds() -> None:
    running = stopped(1, 0, asked_by_person(10.0, 5.0))
    state, last = snapshot(active=(running,)), running.attempts[0]
    assert plan(state, Stage(slots=SLOTS), 12.0) == (Terminate(attempt=last, kill=False),)
    assert plan(state, Stage(slots=SLOTS), 60.0) == (Terminate(attempt=last, kill=True),)


def test_a_round_whose_jobs_were_stopped_is_left_and_one_that_was_waited_for_is_ended() -> None:
    assert plan(snapshot(), Stage(slots=SLOTS, intent=Intent.STOP), 0.0) == (Leave(reason="interrupted"),)
    assert plan(snapshot(), Stage(slots=SLOTS, intent=Intent.DRAIN), 0.0) == (EndRound(round=2),)


def test_who_interrupts_a_loop_of_which_nothing_runs_is_not_told_of_jobs() -> None:
    for intent in (Intent.DRAIN, Intent.STOP, Intent.KILL, Intent.LEAVE):
        assert "0 running" not in heard(intent, 0, 30.0)
        assert "0 running" not in heard(intent, 0, 30.0, "ann@box")
    assert "1 running job (" in heard(Intent.DRAIN, 1, 30.0)


def test_asked_once_more_the_jobs_end_now() -> None:
    running = stopped(1, 0, asked_by_person(10.0, 30.0))
    stage = Stage(slots=SLOTS, intent=Intent.KILL, signalled=frozenset({AttemptId(1)}))
    stop, kill = plan(snapshot(active=(running,)), stage, 11.0)
    assert isinstance(stop, Stop)
    assert stop.stop.grace_s == 0.0
    assert kill == Terminate(attempt=running.attempts[0], kill=True)


def test_a_stop_reaches_the_jobs_of_earlier_loops_too() -> None:
    stage = Stage(slots=SLOTS, intent=Intent.STOP, adopted=(attempt(9, 1),))
    assert [type(one) for one in plan(snapshot(), stage, 0.0)] == [Stop, Terminate]


def test_a_blocked_slot_takes_no_job_and_a_lost_one_never_will() -> None:
    waiting = snapshot(queue=(job(1),))
    busy = {0: Blocked(cause="held by study x"), 1: Blocked(cause="used by process 7")}
    assert plan(waiting, Stage(slots=SLOTS, blocked={0: busy[0]}), 0.0) == (Launch(job=job(1), slot=SLOTS[1]),)
    assert plan(waiting, Stage(slots=SLOTS, blocked=busy), 0.0) == ()
    lost = {index: Blocked(cause="GPU 0 does not answer", lost=True) for index in (0, 1)}
    assert plan(waiting, Stage(slots=SLOTS, blocked={**busy, 0: lost[0]}), 0.0) == ()
    assert plan(waiting, Stage(slots=SLOTS, blocked=lost), 0.0) == (
        Leave(reason="no GPU is left: GPU 0 does not answer"),
    )
    assert (
        plan(snapshot(active=(job(2, slot=0),), queue=(job(1),)), Stage(slots=SLOTS, blocked={1: lost[1]}), 0.0) == ()
    )


def test_a_back_off_waits_and_lets_others_go_first() -> None:
    later = replace(job(1), not_before=50.0)
    state = snapshot(queue=(job(2), later))
    assert plan(state, Stage(slots=SLOTS), 49.0) == (Launch(job=job(2), slot=SLOTS[0]),)
    assert plan(snapshot(queue=(later,)), Stage(slots=SLOTS), 49.0) == ()
    assert plan(snapshot(queue=(later,)), Stage(slots=SLOTS), 50.0) == (Launch(job=later, slot=SLOTS[0]),)


def test_what_holds_everything_back_launches_nothing_and_ends_nothing() -> None:
    assert plan(snapshot(queue=(job(1),)), Stage(slots=SLOTS, held_back="the disk is full"), 0.0) == ()


def test_when_the_time_is_over_the_jobs_are_stopped_and_the_loop_is_left() -> None:
    stage = Stage(slots=SLOTS, over="--max-hours 8 is over")
    stop, _ = plan(snapshot(active=(job(1, slot=0),), queue=(job(2),)), stage, 9.0)
    assert isinstance(stop, Stop)
    assert (stop.stop.cause, stop.stop.text) == (StopCause.MAX_HOURS, "--max-hours 8 is over")
    assert plan(snapshot(queue=(job(2),)), stage, 9.0) == (Leave(reason="--max-hours 8 is over"),)


def test_a_job_that_takes_too_long_or_has_no_pulse_is_stopped_and_the_others_are_not() -> None:
    active = (job(1, slot=0), job(2, slot=1))
    limits = Limits(start_timeout_s=60.0, stall_after_s=100.0, job_timeout_s=0.0)
    pulses = {AttemptId(1): Pulse(silent_s=61.0), AttemptId(2): Pulse(points=3, silent_s=61.0)}
    stop, _ = plan(snapshot(active=active), Stage(slots=SLOTS, limits=limits, pulses=pulses), 200.0)
    assert isinstance(stop, Stop)
    assert (stop.attempt.id, stop.stop.cause) == (AttemptId(1), StopCause.START_TIMEOUT)
    late = Stage(slots=SLOTS, limits=replace(limits, job_timeout_s=200.0), pulses={AttemptId(1): Pulse(points=1)})
    stops = [one for one in plan(snapshot(active=active), late, 200.0) if isinstance(one, Stop)]
    assert [one.stop.cause for one in stops] == [StopCause.JOB_TIMEOUT] * 2


def test_a_request_stops_one_job_or_takes_it_out_of_the_queue_and_is_answered() -> None:
    state = snapshot(active=(job(1, slot=0),), queue=(job(2), job(3)))
    running = Asked(request=request(job=1), job=job(1, slot=0))
    stop, term, answer, launch = plan(state, Stage(slots=SLOTS, asked=(running,)), 5.0)
    assert isinstance(stop, Stop)
    assert stop.stop.text == "stopped by ann@box"
    assert term == Terminate(attempt=attempt(1, 0), kill=False)
    assert answer == Answer(request=running.request, text="j1 is being stopped, with 30 s of grace")
    assert launch == Launch(job=job(2), slot=SLOTS[1])
    queued = Asked(request=request(job=2), job=job(2))
    assert plan(state, Stage(slots=SLOTS, asked=(queued, queued)), 5.0) == (
        Cancel(job=job(2), cause="withdrawn by ann@box"),
        *[Answer(request=queued.request, text="j2 was withdrawn from the queue")] * 2,
        Launch(job=job(3), slot=SLOTS[1]),
    )


def test_a_request_for_what_is_not_there_is_answered_too() -> None:
    unknown = Asked(request=request(job=77))
    (answer, _) = plan(snapshot(queue=(job(1),)), Stage(slots=SLOTS, asked=(unknown,)), 5.0)
    assert answer == Answer(request=unknown.request, text="there is no job 77")
    strange = Asked(request=replace(request(), kind="dance"))
    (answer, _) = plan(snapshot(queue=(job(1),)), Stage(slots=SLOTS, asked=(strange,)), 5.0)
    assert isinstance(answer, Answer)
    assert "dance" in answer.text


def test_what_is_no_stop_stops_nothing_though_it_names_a_job() -> None:
    strange = Asked(request=replace(request(job=1), kind="dance"), job=job(1, slot=0))
    (only,) = plan(snapshot((job(1, slot=0),)), Stage(slots=SLOTS, asked=[strange]), 0.0)
    assert only == Answer(request=strange.request, text="a running loop knows no request 'dance'")


def test_slots_made_anew_never_book_a_gpu_that_an_older_attempt_holds() -> None:
    running = replace(attempt(1, 2), gpus=("GPU-2",))  # slot 2 it was; GPU-1 has gone since
    slots = (gpu_slot(0, 0), gpu_slot(1, 2), gpu_slot(2, 3))
    assert [slot.index for slot in free_slots(slots, (running,))] == [0]
    both = replace(attempt(9, 0), gpus=("GPU-0", "GPU-2"))
    assert [slot.index for slot in free_slots(slots, (), (both,))] == [2]


def test_leaving_leaves_at_once() -> None:
    actions = plan(snapshot(active=(job(1, slot=0),)), Stage(slots=SLOTS, intent=Intent.LEAVE), 0.0)
    assert [type(action) for action in actions] == [Leave]


def test_who_stops_a_study_of_which_nothing_runs_is_not_told_of_grace() -> None:
    actions = plan(snapshot(queue=(job(1),)), Stage(slots=SLOTS, asked=(Asked(request=request()),)), 5.0)
    (answer,) = [one for one in actions if isinstance(one, Answer)]
    assert answer.text == "nothing runs, and nothing more is launched; `autorun --resume` goes on with the loop"


def fired(only: str = "") -> Judged:
    stop = Rule(name="dead", when=parse_condition("1 > 0"), reason=parse_template("mass is 0"))
    return Judged(fired=Fired(stop=stop, at=300, facts=Facts()), only=only)


def test_a_live_rules_verdict_is_a_stop_with_grace_and_its_words() -> None:
    running, judged = job(1, 0), fired(only="why")
    stage = Stage(slots=SLOTS, verdicts={running.attempts[0].id: judged}, grace_s=7.0)
    text = "live rule 'dead' at step 300: mass is 0 (only stopped: why)"
    intent = StopIntent(at=50.0, cause=StopCause.RULE, text=text, grace_s=7.0)
    assert plan(snapshot((running,)), stage, 50.0) == (
        Stop(attempt=running.attempts[0], stop=intent, verdict=judged),
        Terminate(attempt=running.attempts[0], kill=False),
    )


def test_what_a_person_or_the_clock_ends_has_no_successor() -> None:
    running, judged = job(1, 0), fired()
    for stage in (
        Stage(slots=SLOTS, verdicts={running.attempts[0].id: judged}, intent=Intent.STOP),
        Stage(slots=SLOTS, verdicts={running.attempts[0].id: judged}, over="--max-hours 1 is over"),
    ):
        (stop, *_) = plan(snapshot((running,)), stage, 50.0)
        assert isinstance(stop, Stop)
        assert stop.verdict is None
    asked = stopped(1, 0, asked_by_person(40.0, 30.0))
    stage = Stage(slots=SLOTS, verdicts={asked.attempts[0].id: judged})
    assert all(not isinstance(one, Stop) for one in plan(snapshot((asked,)), stage, 50.0))


def test_a_live_rule_that_only_warns_ends_nothing() -> None:
    running, warning = job(1, 0), fired().fired
    stage = Stage(slots=SLOTS, warnings={running.attempts[0].id: (warning,)})
    assert plan(snapshot((running,)), stage, 50.0) == (Warn(attempt=running.attempts[0], warning=warning),)


def test_a_warm_job_waits_for_the_one_that_it_starts_from_and_holds_up_nobody() -> None:
    running, warm, cold = job(1, 0), replace(job(2), warm_from=JobId(1)), job(3)
    assert plan(snapshot((running,), (warm, cold)), Stage(slots=SLOTS), 50.0) == (Launch(job=cold, slot=SLOTS[1]),)
    assert plan(snapshot((), (warm,)), Stage(slots=SLOTS), 50.0) == (Launch(job=warm, slot=SLOTS[0]),)
