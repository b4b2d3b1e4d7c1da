"""The attempts in a supervisor's hands: started, signalled, seen to end, and what of it is not in the ledger yet."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from auto_loop.domain.job import Attempt, AttemptId, Exit, Handle, Job, StopIntent
from auto_loop.launch.base import Running, Signal, Unknown
from auto_loop.loop.finish import finish
from auto_loop.loop.intents import Intended
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.recover import Live


class Attempts:
    """Starts attempts, signals them and waits for them.

    `live` are those whose end is not in the ledger; `unwritten` and `exits` wait for the next commit: starts and ends.
    `signalled` and `killed` are those that were sent SIGTERM and SIGKILL. What was written is forgotten only when
    `written` says that it is durable.
    """

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self.live: dict[AttemptId, Live] = {}
        self.unwritten: list[tuple[AttemptId, Handle, float]] = []
        self.exits: list[tuple[Live, Exit]] = []
        self.signalled: frozenset[AttemptId] = frozenset()
        self.killed: frozenset[AttemptId] = frozenset()
        self._sent: frozenset[AttemptId] = frozenset()
        self._killed_before: frozenset[AttemptId] = frozenset()
        self._ending_since = 0.0

    def take_over(self, found: Iterable[Live]) -> None:
        """Those that an earlier supervisor left."""
        self.live = {live.attempt.id: live for live in found}

    def going_on(self) -> list[Live]:
        """Those that have not been seen to end."""
        ended = {live.attempt.id for live, _ in self.exits}
        return [live for live in self.live.values() if live.attempt.id not in ended]

    def of_earlier_loops(self) -> list[Live]:
        """Those that go on and are another loop's."""
        return [live for live in self.going_on() if live.job.loop != self._parts.loop]

    def start(self, one: Intended) -> None:
        """Start the process. What cannot be started at all has ended there and then."""
        live, clock = one.live, self._parts.workshop.clock
        try:
            handle = self._parts.launcher.launch(one.order.request)
        except OSError as error:
            seen = Exit(returncode=127, ended_at=clock(), error=f"could not be started: {error}")
            self.exits.append((live, seen))
            return
        started = clock()
        self.live[live.attempt.id] = replace(live, handle=handle, started_at=started)
        self.unwritten.append((live.attempt.id, handle, started))

    def stops(self, attempt: AttemptId, stop: StopIntent) -> None:
        """That an attempt is to stop, which was written down."""
        live = self.live.get(attempt)
        if live is not None:
            self.live[attempt] = replace(live, attempt=replace(live.attempt, stop=stop))

    def signal(self, attempt: AttemptId, *, kill: bool) -> None:
        """SIGTERM, or SIGKILL to the whole tree."""
        self.signalled |= {attempt}
        if kill:
            self.killed |= {attempt}
        else:
            self._sent |= {attempt}
        live = self.live.get(attempt)
        if live is not None and live.handle is not None:
            self._parts.launcher.signal(live.handle, Signal.KILL if kill else Signal.TERM)

    def kill_again(self) -> None:
        """SIGKILL once more to what goes on though it was sent one before the last call of this.

        A tree that forks all the while outlives one.
        """
        for live in self.going_on():
            if live.attempt.id in self._killed_before and live.handle is not None:
                self._parts.launcher.signal(live.handle, Signal.KILL)
        self._killed_before = self.killed

    def end_unwritten(self, grace_s: float, *, kill: bool) -> bool:
        """SIGTERM to all, SIGKILL when `grace_s` is over or with `kill`, with no word in the ledger: the disk is full.

        True when none goes on. Whoever takes over finds ends that nobody wrote an intent for, and tries those again.
        """
        now = self._parts.workshop.clock()
        self._ending_since = self._ending_since or now
        kill = kill or now >= self._ending_since + grace_s
        going_on = self.going_on()
        for live in going_on:
            asked = live.attempt.id in self.signalled or (live.attempt.stop is not None and live.attempt.stop.sent)
            if kill or not asked:
                self.signal(live.attempt.id, kill=kill)
        return not going_on

    def write_sent(self) -> None:
        """Write down which SIGTERMs were sent, so that whoever takes over sends no second one."""
        if self._sent:
            self._parts.ledger.stop_sent(self._sent)
            self._sent = frozenset()

    def write(self) -> list[tuple[Job, Attempt]]:
        """RUNNING for what was started, DONE for what has exited and what follows it, into the open transaction.

        The ended attempts, with their jobs.
        """
        for attempt, handle, started_at in self.unwritten:
            self._parts.ledger.mark_running(attempt, handle, started_at)
        return [(live.job, finish(self._parts, self._journal, live, seen)) for live, seen in self.exits]

    def written(self) -> None:
        """What was written is durable: forget it."""
        gone = {live.attempt.id for live, _ in self.exits}
        self.live = {attempt: live for attempt, live in self.live.items() if attempt not in gone}
        self.signalled, self.killed = self.signalled - gone, self.killed - gone
        self.unwritten.clear()
        self.exits.clear()

    def next_kill(self) -> float:
        """When the next grace is over, in unix s."""
        stops = (live.attempt.stop for live in self.live.values() if live.attempt.id not in self.killed)
        return min((stop.at + stop.grace_s for stop in stops if stop is not None), default=float("inf"))

    def wait(self, timeout_s: float) -> None:
        """Collect the exits that come within `timeout_s`."""
        by_handle = {live.handle: live for live in self.going_on() if live.handle is not None}
        for handle in self._parts.launcher.wait(tuple(by_handle), timeout_s):
            live = by_handle[handle]
            match self._parts.launcher.poll(handle, Path(live.attempt.exit_file)):
                case Exit() as seen:
                    self.exits.append((live, seen))
                case Running() | Unknown():
                    continue
