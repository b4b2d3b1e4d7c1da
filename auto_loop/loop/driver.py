"""The driver: carries out what the planner asks for, one turn after another, until the loop has ended."""

from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from auto_loop.domain.config import Json
from auto_loop.domain.job import Attempt, AttemptId, Exit, Handle, Job, JobId, NewAttempt
from auto_loop.domain.summary import Summary
from auto_loop.launch.base import LaunchRequest, Running, Signal, Unknown
from auto_loop.loop.actions import Action, EndRound, Intent, Launch, Leave, Terminate, heard
from auto_loop.loop.endings import ending
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.plan import Stage, Stops, plan
from auto_loop.loop.recover import Live, recover
from auto_loop.loop.rounds import end_round

# How long a started attempt's RUNNING, or a summary, may wait to be written down, so that it shares a commit with what
# ends just then. If the supervisor dies meanwhile, the claim finds the attempt again, and the run is read again.
_UNWRITTEN_S = 0.02
_LOOK_PERIOD_S = 1.0


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
        self._live: dict[AttemptId, Live] = {}
        self._unwritten: list[tuple[AttemptId, Handle, float]] = []
        self._exits: list[tuple[Live, Exit]] = []
        self._unread: deque[tuple[Job, Attempt]] = deque()
        self._measured: list[tuple[AttemptId, Summary]] = []
        self._summaries: dict[JobId, Summary] = {}
        self._stops = Stops()
        self._intent = Intent.RUN
        self._looked_at = 0.0
        self._end: LoopEnd | None = None

    def run(self) -> LoopEnd:
        """Drive the loop from wherever the ledger says it stands."""
        self._live = {live.attempt.id: live for live in recover(self._parts)}
        left = self._parts.ledger.reading.unread_jobs(self._parts.study)
        self._unread.extend((job, job.attempts[-1]) for job in left)
        while self._end is None:
            self._turn()
        if self._end.finished:
            self._await_adopted()
        return self._end

    def _await_adopted(self) -> None:
        """See the attempts of earlier loops to their end, unless the person asks for anything."""
        while self._live and self._heard() is Intent.RUN:
            self._idle()
            with self._parts.ledger.transaction():
                self._unread.extend(self._write_facts())
            self._journal.tell()
        while self._unread:
            self._read_one()
        with self._parts.ledger.transaction():
            self._write_summaries()

    def _turn(self) -> None:
        """Write down what ended, plan, write the intents down, then act on them."""
        ledger, slots, intent = self._parts.ledger, self._parts.slots, self._heard()
        with ledger.transaction():
            ended = self._write_facts()
            snapshot = ledger.reading.snapshot(self._parts.study, self._parts.loop, len(slots))
            stage = Stage(slots=slots, intent=intent, stops=self._stops, adopted=self._of_earlier_loops())
            actions = plan(snapshot, stage, self._work.clock())
            launches = [self._intend(action) for action in actions if isinstance(action, Launch)]
        for live, request in launches:
            self._launch(live, request)
        self._journal.tell()
        self._show_measured()
        self._unread.extend(ended)
        for action in actions:
            self._act(action)
        if self._end is None:
            self._idle()

    def _show_measured(self) -> None:
        """Have the summaries drawn that are in the ledger by now."""
        if self._measured:
            self._measured.clear()
            self._work.redraw()

    def _heard(self) -> Intent:
        """What the person wants by now; a change is said once."""
        intent = self._parts.signals.intent
        if intent is not self._intent:
            self._intent = intent
            self._journal.say("said", None, {"text": heard(intent, len(self._live), self._stops.grace_s)})
        return intent

    def _of_earlier_loops(self) -> list[Attempt]:
        return [live.attempt for live in self._live.values() if live.job.loop != self._parts.loop]

    def _write_facts(self) -> list[tuple[Job, Attempt]]:
        """RUNNING for what was started, DONE for what has exited, summaries of what was read: one commit with the
        intents that follow.
        """
        for attempt_id, handle, started_at in self._unwritten:
            self._parts.ledger.mark_running(attempt_id, handle, started_at)
        self._unwritten.clear()
        ended = [self._write_exit(live, seen) for live, seen in self._exits]
        self._exits.clear()
        self._write_summaries()
        return ended

    def _write_summaries(self) -> None:
        for attempt_id, summary in self._measured:
            self._parts.ledger.record_summary(attempt_id, summary)

    def _write_exit(self, live: Live, seen: Exit) -> tuple[Job, Attempt]:
        asked = live.attempt.id in self._stops.asked
        tail = self._work.log_tail(live.attempt.log_file)
        judged = ending(seen, tail, asked_to_stop=asked, secrets=self._work.secrets)
        self._parts.ledger.finish_attempt(live.attempt.id, judged)
        self._live.pop(live.attempt.id, None)
        detail: dict[str, Json] = {
            "job": live.job.name,
            "slot": live.attempt.slot,
            "outcome": judged.outcome.value,
            "cause": judged.cause,
            "seconds": judged.ended_at - live.started_at,
        }
        self._journal.write("job ended", live.job.id, detail)
        attempt = replace(live.attempt, outcome=judged.outcome, ended_at=judged.ended_at, log_tail=judged.log_tail)
        return live.job, attempt

    def _intend(self, action: Launch) -> tuple[Live, LaunchRequest]:
        """The intent to launch, written down; nothing has been started yet."""
        job, number = action.job, len(action.job.attempts) + 1
        request = self._work.request_for(job, action.slot, number, self._work.new_token())
        new = NewAttempt(
            job=job.id,
            slot=action.slot.index,
            gpus=tuple(gpu.uuid for gpu in action.slot.gpus),
            token=request.token,
            command=request.argv,
            output_dir=self._work.output_dir_of(job.name, number),
            log_file=str(request.log_file),
            claim_file=str(request.claim_file),
            exit_file=str(request.exit_file),
            request={"env": {name: request.env[name] for name in request.own_env}},
        )
        attempt_id = self._parts.ledger.start_attempt(new)
        detail: dict[str, Json] = {
            "job": job.name,
            "slot": action.slot.index,
            "where": action.slot.place,
            "log": new.log_file,
        }
        self._journal.write("job started", job.id, detail)
        now = self._work.clock()
        attempt = Attempt.of(new, id=attempt_id, number=number, created_at=now)
        return Live(job=job, attempt=attempt, handle=None, started_at=now), replace(request, attempt=attempt_id)

    def _launch(self, live: Live, request: LaunchRequest) -> None:
        """Start the process. What cannot be started at all has ended there and then."""
        try:
            handle = self._parts.launcher.launch(request)
        except OSError as error:
            seen = Exit(returncode=127, ended_at=self._work.clock(), error=f"could not be started: {error}")
            self._exits.append((live, seen))
            return
        started = self._work.clock()
        self._live[live.attempt.id] = replace(live, handle=handle, started_at=started)
        self._unwritten.append((live.attempt.id, handle, started))

    def _act(self, action: Action) -> None:
        match action:
            case Launch():
                return  # carried out by _launch, as soon as the intents were durable
            case Terminate():
                self._terminate(action)
            case EndRound():
                self._end_round(action.round)
            case Leave():
                self._leave(action)
            case _:
                assert_never(action)

    def _terminate(self, action: Terminate) -> None:
        attempt = action.attempt.id
        if action.kill:
            self._stops = replace(self._stops, killed=self._stops.killed | {attempt})
        else:
            self._stops = replace(self._stops, asked={**self._stops.asked, attempt: self._work.clock()})
        live = self._live.get(attempt)
        if live is not None and live.handle is not None:
            self._parts.launcher.signal(live.handle, Signal.KILL if action.kill else Signal.TERM)

    def _leave(self, action: Leave) -> None:
        with self._parts.ledger.transaction():
            self._write_facts()
        self._journal.tell()
        self._end = LoopEnd(reason=action.reason, finished=False)

    def _end_round(self, number: int) -> None:
        """Read what is still unread, let the proposers propose, and queue the next round or end the loop."""
        while self._unread:
            self._read_one()
        with self._parts.ledger.transaction():
            self._write_summaries()
        self._show_measured()
        ended = end_round(self._parts, number, self._summaries)
        self._summaries.clear()
        for event in ended.events:
            self._journal.show(event)
        if ended.reason:
            self._parts.ledger.close_loop(self._parts.study, self._parts.loop, ended.reason)
            self._end = LoopEnd(reason=ended.reason, finished=True)
        self._work.redraw()

    def _idle(self) -> None:
        """Wait for the next exit, signal or look; with nothing else due, read one ended run."""
        if self._exits:
            return
        if self._unwritten:
            self._wait(_UNWRITTEN_S)
            return
        if self._unread:
            self._read_one()
            self._wait(_UNWRITTEN_S)
            return
        self._parts.launcher.prepare()
        self._wait(max(0.0, self._looked_at + _LOOK_PERIOD_S - self._work.clock()))
        if not self._exits and self._work.clock() >= self._looked_at + _LOOK_PERIOD_S:
            self._looked_at = self._work.clock()
            self._look()

    def _wait(self, timeout_s: float) -> None:
        """Collect the exits that come within `timeout_s`."""
        by_handle = {live.handle: live for live in self._live.values() if live.handle is not None}
        ready = self._parts.launcher.wait(tuple(by_handle), timeout_s)
        for handle in ready:
            live = by_handle[handle]
            match self._parts.launcher.poll(handle, Path(live.attempt.exit_file)):
                case Exit() as seen:
                    self._exits.append((live, seen))
                case Running() | Unknown():
                    continue

    def _look(self) -> None:
        """Tell observers how far each slot is."""
        metric = self._parts.pack.main_metric
        cells: list[Json] = []
        for live in sorted(self._live.values(), key=lambda live: live.attempt.slot):
            step, values = self._parts.meter.latest(live.attempt.output_dir)
            cell: dict[str, Json] = {"slot": live.attempt.slot, "job": live.job.name, "step": step}
            cells.append({**cell, "steps": self._parts.call.steps, "metric": metric, "value": values.get(metric)})
        snapshot = self._parts.ledger.reading.snapshot(self._parts.study, self._parts.loop, 0)
        total = snapshot.done + snapshot.queued + len(snapshot.active)
        detail: dict[str, Json] = {"round": snapshot.round, "rounds": self._parts.call.rounds, "done": snapshot.done}
        self._journal.say("progress", None, {**detail, "total": total, "slots": cells})

    def _read_one(self) -> None:
        """Turn one ended run into its summary; the slot it held has long been given on."""
        job, attempt = self._unread.popleft()
        summary = self._parts.meter.summary(job, attempt)
        if self._parts.call.decide:  # only the rules want the series, and these weigh
            self._summaries[job.id] = summary
        self._measured.append((attempt.id, summary))
        metric = self._parts.pack.main_metric
        stats = summary.metrics.get(metric)
        detail: dict[str, Json] = {
            "job": job.name,
            "metric": metric,
            "first": stats.first if stats else None,
            "last": stats.last if stats else None,
            "best": stats.best if stats else None,
            "best_step": stats.best_step if stats else None,
        }
        self._journal.say("job measured", job.id, detail)
