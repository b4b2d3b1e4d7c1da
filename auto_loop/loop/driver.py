"""The driver: carries out what the planner asks for, one turn after another, until the loop has ended."""

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import assert_never

from auto_loop.domain.errors import DiskFullError
from auto_loop.domain.job import Attempt, Job, JobId
from auto_loop.domain.request import Request
from auto_loop.domain.snapshot import Snapshot
from auto_loop.launch.gate import Pass
from auto_loop.loop.actions import (
    Action,
    Answer,
    Cancel,
    EndRound,
    Intent,
    Launch,
    Leave,
    Review,
    Stop,
    Terminate,
    Warn,
    heard,
)
from auto_loop.loop.attempts import Attempts
from auto_loop.loop.forks import only_a_stop
from auto_loop.loop.intents import Intended, intend, warned_before, write_intents
from auto_loop.loop.journal import Journal
from auto_loop.loop.live import Fired, Judged
from auto_loop.loop.measuring import Measuring
from auto_loop.loop.parts import Parts, Ticket
from auto_loop.loop.plan import due, free_slots, plan
from auto_loop.loop.pulse import Limits
from auto_loop.loop.recover import Live, recover
from auto_loop.loop.review import Reminder
from auto_loop.loop.rounds import end_round
from auto_loop.loop.slots import Slots
from auto_loop.loop.stage import Asked, Stage
from auto_loop.loop.steady import Steady
from auto_loop.loop.stops import STOP, wanted

# How long a started attempt's RUNNING, or a summary, may wait to be written down, so that it shares a commit with what
# ends just then. If the supervisor dies meanwhile, the claim finds the attempt again, and the run is read again.
_UNWRITTEN_S = 0.02
_LOOK_PERIOD_S = 1.0
_NEVER = float("inf")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopEnd:
    """Why the loop ended, and whether it is finished (or left for `--resume`)."""

    reason: str
    finished: bool


class Driver:
    """One loop being driven. `run()` returns when it has ended or was left."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._work = parts.workshop
        self._journal = Journal(parts.study, parts.loop, parts.ledger, parts.observers, parts.workshop.clock)
        self._attempts = Attempts(parts, self._journal)
        self._measuring = Measuring(parts, self._journal)
        self._steady = Steady(parts, self._journal) if parts.call.steady else None
        self._slots = Slots(parts, self._journal)
        self._intent = Intent.RUN
        self._asked_for = Intent.RUN
        self._looked_at = 0.0
        self._next_start = _NEVER  # when the next back-off is over, in unix s
        self._no_room = ""
        self._reminder = Reminder(parts, self._journal)
        self._end: LoopEnd | None = None

    def run(self) -> LoopEnd:
        """Drive the loop from wherever the ledger says it stands."""
        self._attempts.take_over(recover(self._parts))
        if self._attempts.live and self._parts.pack.stops:
            self._measuring.told(warned_before(self._parts))
        left = self._parts.ledger.reading.unread_jobs(self._parts.study)
        self._measuring.add((job, job.attempts[-1]) for job in left)
        while self._end is None:
            self._step()
        while self._end.finished and self._attempts.live and self._intent in (Intent.RUN, Intent.STOP, Intent.KILL):
            self._step()
        if self._intent is not Intent.LEAVE:
            with suppress(DiskFullError):  # what is left unread then, the next supervisor reads
                self._measuring.finish()
        return self._end

    def _step(self) -> None:
        """A turn, and a wait for what comes next. A full disk stops the launches, not the loop: nothing is lost."""
        try:
            self._turn()
        except (DiskFullError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_ROOM:
                raise
            self._wait_for_room(error)
            return
        if self._no_room:
            self._no_room = ""
            self._say("There is room on the disk again: the loop goes on.")
        if self._end is None or (self._end.finished and self._attempts.live):
            self._idle()

    def _wait_for_room(self, error: Exception) -> None:
        self._journal.forget()
        if not self._no_room:
            self._no_room = f"the disk is full ({error})"
            self._say(f"THE DISK IS FULL: nothing is launched until there is room; what runs goes on.\n{error}")
        intent = self._heard(())
        if intent in (Intent.STOP, Intent.KILL):
            over = self._attempts.end_unwritten(self._parts.call.grace, kill=intent is Intent.KILL)
        else:
            over = intent is Intent.LEAVE or (intent is Intent.DRAIN and not self._attempts.going_on())
        if not over:
            self._attempts.wait(_LOOK_PERIOD_S)
            return
        left = "; the jobs train on" if self._attempts.going_on() else ""
        finished = self._end is not None and self._end.finished
        self._end = LoopEnd(reason=f"interrupted while the disk is full{left}", finished=finished)
        self._intent = Intent.LEAVE

    def _turn(self) -> None:
        """Write down what ended, plan, write the intents down, then act on them."""
        ledger, passes = self._parts.ledger, dict[int, Pass]()
        try:
            with ledger.transaction():
                ended = self._write_facts()
                snapshot = self._snapshot()
                stage = self._stage(snapshot, passes)
                actions = self._allowed(plan(snapshot, stage, self._work.clock()))
                launches = [self._intend(one, passes) for one in actions if isinstance(one, Launch)]
                write_intents(self._parts, self._journal, actions, self._attempts.live)
                started = {one.live.attempt.slot: one.live.job.name for one in launches}
                states = self._slots.write(snapshot, stage, started, self._earlier())
            self._committed(ended)
            self._slots.committed(states, stage.blocked)
            for one in launches:
                passes.pop(one.live.attempt.slot)
                self._attempts.start(one)
        finally:
            for unused in passes.values():
                unused.close()
        self._journal.tell()
        self._reminder.tell(snapshot)
        for action in actions:
            self._act(action)
        self._attempts.write_sent()

    def _snapshot(self) -> Snapshot:
        """The open part of the loop, with what waited queued for the slots that would be idle."""
        parts, steady = self._parts, self._steady
        snapshot = parts.ledger.reading.snapshot(parts.study, parts.loop, len(parts.slots) + 1)
        if steady is None or parts.call.review or not snapshot.waiting or not self._begins(snapshot):
            return snapshot
        return steady.fill(snapshot, [live.attempt for live in self._attempts.of_earlier_loops()])

    def _begins(self, snapshot: Snapshot) -> bool:
        """Whether anything new is begun by now."""
        asked = max(
            self._parts.signals.intent, self._asked_for, wanted([Asked(request=one) for one in snapshot.requests])
        )
        return self._end is None and asked is Intent.RUN and not self._over() and not self._slots.room()

    def _over(self) -> str:
        """That the loop's time is over, in words."""
        hours = self._parts.call.max_hours
        over = 0 < hours * 3600 <= self._work.clock() - self._parts.since
        return f"--max-hours {hours:g} is over" if over else ""

    def _allowed(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """After the loop's end nothing is begun any more."""
        if self._end is None:
            return actions
        return tuple(action for action in actions if not isinstance(action, Launch | EndRound | Leave))

    def _stage(self, snapshot: Snapshot, passes: dict[int, Pass]) -> Stage:
        """What the plan is made on; `passes` is filled with what admitted slots hold."""
        call, now = self._parts.call, self._work.clock()
        asked = tuple(self._named(request) for request in snapshot.requests)
        self._asked_for = max(self._asked_for, wanted(asked))
        over = self._over()
        stage = Stage(
            slots=self._parts.slots,
            intent=self._heard(asked),
            adopted=[live.attempt for live in self._attempts.of_earlier_loops()],
            over=over,
            grace_s=call.grace,
            limits=Limits(
                start_timeout_s=call.start_timeout, stall_after_s=call.stall_after, job_timeout_s=call.job_timeout
            ),
            pulses=self._measuring.pulses,
            signalled=self._attempts.signalled,
            killed=self._attempts.killed,
            asked=asked,
            verdicts={live.attempt.id: self._judged(live, fired) for live, fired in self._fired()},
            warnings=self._measuring.warnings,
            steady=call.steady,
        )
        waiting = due(snapshot.queue, now)
        self._next_start = min((job.not_before for job in snapshot.queue if job.not_before > now), default=_NEVER)
        if not waiting or over or stage.intent is not Intent.RUN:
            return stage
        held_back = self._slots.room()
        if held_back:
            return replace(stage, held_back=held_back)
        free = free_slots(self._parts.slots, [job.attempts[-1] for job in snapshot.active], stage.adopted)
        ours = frozenset(uuid for live in self._attempts.going_on() for uuid in live.attempt.gpus)
        return replace(stage, blocked=self._slots.admit(free, len(waiting), ours, passes))

    def _earlier(self) -> list[str]:
        """The jobs of the study's earlier loops that go on."""
        return [live.job.name for live in self._attempts.of_earlier_loops()]

    def _fired(self) -> list[tuple[Live, Fired]]:
        """The attempts that live rules say to end, and that nobody has asked yet."""
        live = self._attempts.live
        found = self._measuring.verdicts.items()
        return [(live[at], fired) for at, fired in found if at in live and live[at].attempt.stop is None]

    def _judged(self, live: Live, fired: Fired) -> Judged:
        return Judged(fired=fired, only=only_a_stop(self._parts, live.job, fired))

    def _named(self, request: Request) -> Asked:
        number = request.payload.get("job")
        job = self._parts.ledger.reading.job(JobId(number)) if isinstance(number, int) else None
        return Asked(request=request, job=job if job is not None and job.study == self._parts.study else None)

    def _heard(self, asked: Sequence[Asked]) -> Intent:
        """What the person wants by now; a change is said once."""
        intent = max(self._parts.signals.intent, self._asked_for)
        if intent is not self._intent:
            by = next((one.by for one in asked if one.request.kind == STOP and one.of_study), "")
            self._intent = intent
            self._say(heard(intent, len(self._attempts.live), self._parts.call.grace, by))
        return intent

    def _say(self, text: str) -> None:
        self._journal.say("said", None, {"text": text})

    def _write_facts(self) -> list[tuple[Job, Attempt]]:
        """What was started, what has ended and what follows it, summaries of what was read.

        One commit with the intents that follow.
        """
        ended = self._attempts.write()
        self._measuring.write()
        if self._steady is not None:
            self._steady.decide(self._measuring.read, self._measuring.summaries)
        return ended

    def _intend(self, action: Launch, passes: dict[int, Pass]) -> Intended:
        job, slot = action.job, self._slots.named(action.slot)
        number, token = len(job.attempts) + 1, self._work.new_token()
        ticket = Ticket(job=job, slot=slot, number=number, token=token, entry=passes[slot.index])
        return intend(self._parts, self._journal, ticket)

    def _committed(self, ended: list[tuple[Job, Attempt]]) -> None:
        """What was written is durable: take it off the list of what is to be written."""
        self._attempts.written()
        self._measuring.written()
        if self._steady is not None:
            self._steady.committed(self._measuring.summaries)
        self._measuring.add(ended)

    def _act(self, action: Action) -> None:
        match action:
            case Launch() | Cancel() | Answer():
                return  # done with the turn's commit
            case Review():  # what was accepted need not wait where a slot is free
                self._next_start = self._work.clock()
                if self._steady is not None:
                    self._steady.reviewed()
            case Warn(attempt=attempt, warning=warning):
                self._measuring.told([(attempt.id, warning.stop.name)])
            case Stop(attempt=attempt, stop=stop, verdict=verdict):
                self._attempts.stops(attempt.id, stop)
                if verdict is not None and verdict.forks:  # its successor need not wait where a slot is free
                    self._next_start = self._work.clock()
            case Terminate(attempt=attempt, kill=kill):
                self._attempts.signal(attempt.id, kill=kill)
            case EndRound(round=number):
                self._end_round(number)
                self._next_start = self._work.clock()  # what follows need not wait for the next look
            case Leave(reason=reason):
                self._leave(reason)
            case _:
                assert_never(action)

    def _leave(self, reason: str) -> None:
        """Leave the loop, with what was started just now written down."""
        with self._parts.ledger.transaction():
            ended = self._write_facts()
        self._committed(ended)
        self._journal.tell()
        self._end = LoopEnd(reason=reason, finished=False)

    def _end_steady(self, steady: Steady) -> None:
        """Read what is still unread, and end the loop unless that gives it something to do."""
        while self._measuring.read_one():
            pass
        with self._parts.ledger.transaction():
            ended = self._write_facts()
            reason = steady.over()
        self._committed(ended)
        self._journal.tell()
        if reason:
            self._end = LoopEnd(reason=reason, finished=True)
        self._work.redraw()

    def _end_round(self, number: int) -> None:
        """Read what is still unread, let the proposers propose, and queue the next round or end the loop."""
        if self._steady is not None:
            self._end_steady(self._steady)
            return
        self._measuring.finish()
        ended = end_round(self._parts, number, self._measuring.summaries)
        self._measuring.summaries.clear()
        for event in ended.events:
            self._journal.show(event)
        if ended.reason:
            self._end = LoopEnd(reason=ended.reason, finished=True)
        self._work.redraw()

    def _idle(self) -> None:
        """Look at what runs when it is time; then wait for the next exit, signal or look, or read one ended run."""
        now = self._work.clock()
        self._looked_at = min(self._looked_at, now)  # a clock that was set back must not put the loop to sleep
        if now >= self._looked_at + _LOOK_PERIOD_S:
            self._attempts.kill_again()
            self._measuring.look(self._attempts.live.values(), now - self._looked_at if self._looked_at else 0.0)
            self._looked_at = now
            if self._measuring.verdicts or self._measuring.warnings:  # nobody who is to be stopped waits for an exit
                return
        if self._attempts.exits:
            return
        if self._attempts.unwritten or self._measuring.read_one():
            if self._attempts.unwritten or self._steady is None:  # what was read is decided at once there
                self._attempts.wait(_UNWRITTEN_S)
            return
        if self._steady is not None and not self._parts.call.review:
            self._steady.prepare()
        self._parts.launcher.prepare()
        due_at = min(self._looked_at + _LOOK_PERIOD_S, self._attempts.next_kill(), self._next_start)
        self._attempts.wait(max(0.0, due_at - self._work.clock()))
