"""A launcher without processes: attempts last as long as a script says, on a clock that jumps. For scenarios."""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch.base import LaunchRequest, Running, Signal, Status, Unknown

NAME = "stub"


@dataclass(slots=True)
class FakeClock:
    """Time as a scenario tells it, in unix seconds."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one attempt does: how long it lasts and how it ends.

    `on_term_s` is how long it takes to leave after TERM (None: it ignores TERM); `on_end` runs when it ends (writing
    the history that a trainer would have left); `vanishes` leaves no exit, as after a killed keeper.
    """

    duration_s: float = 1.0
    returncode: int = 0
    inner: str = ""
    on_term_s: float | None = 0.0
    on_end: Callable[[LaunchRequest], None] | None = None
    vanishes: bool = False
    strays_s: float = 0.0


@dataclass(slots=True)
class _Attempt:
    request: LaunchRequest
    act: Act
    ends_at: float
    returncode: int | None
    inner: str
    seen: bool = False


class StubLauncher:
    """Follows `script`, which gives each request its `Act`; `requests` holds all that was launched, in order.

    A wait moves the clock to the next end, or by its timeout. With the same script and clock everything repeats.
    """

    def __init__(self, script: Callable[[LaunchRequest], Act] | None = None, clock: FakeClock | None = None) -> None:
        self._script = script or (lambda _: Act())
        self.clock = clock or FakeClock()
        self.requests: list[LaunchRequest] = []
        self.signals: list[tuple[Handle, Signal]] = []
        self._attempts: dict[Handle, _Attempt] = {}
        self._held: list[tuple[str, int]] = []
        self._woken = False

    @property
    def name(self) -> str:
        """`stub`."""
        return NAME

    def launch(self, request: LaunchRequest) -> Handle:
        """A handle with a pid of its own."""
        act = self._script(request)
        self.requests.append(request)
        self._held += [(request.token, descriptor) for descriptor in request.held]
        handle = Handle(launcher=NAME, pid=len(self.requests), start_time=1, boot_id=NAME, reference=request.token)
        returncode = None if act.vanishes else act.returncode
        self._attempts[handle] = _Attempt(request, act, self.clock.now + act.duration_s, returncode, act.inner)
        return handle

    def poll(self, handle: Handle, exit_file: Path) -> Status:
        """By the clock; an attempt that this launcher never saw has ended unseen."""
        attempt = self._attempts.get(handle)
        if attempt is None:
            return Exit(returncode=None, ended_at=self.clock.now)
        if self.clock.now < attempt.ends_at:
            return Running()
        if attempt.returncode is None and self.clock.now < attempt.ends_at + attempt.act.strays_s:
            return Unknown(pids=(handle.pid,))
        if not attempt.seen and attempt.act.on_end is not None:
            attempt.act.on_end(attempt.request)
        attempt.seen = True
        self._let_go(attempt.request.token)
        return Exit(returncode=attempt.returncode, ended_at=attempt.ends_at, inner=attempt.inner)

    def wait(self, handles: Collection[Handle], timeout_s: float | None) -> frozenset[Handle]:
        """Jumps to the next end among `handles`; RuntimeError if it would wait for ever."""
        if self._woken:
            self._woken = False
            return frozenset()
        times = {handle: self._next(handle) for handle in handles}
        limit = None if timeout_s is None else self.clock.now + timeout_s
        target = min([*times.values(), *([] if limit is None else [limit])], default=None)
        if target is None:
            raise RuntimeError("a wait without attempts and without a timeout never ends")
        self.clock.now = max(self.clock.now, target)
        return frozenset(handle for handle, at in times.items() if at <= self.clock.now)

    def wake(self) -> None:
        """The next wait returns at once."""
        self._woken = True

    def signal(self, handle: Handle, signal: Signal) -> bool:
        """TERM as the act says; KILL ends the attempt now, with -9."""
        attempt = self._attempts.get(handle)
        self.signals.append((handle, signal))
        if attempt is None or self.clock.now >= attempt.ends_at + attempt.act.strays_s:
            return False
        if signal is Signal.KILL:
            attempt.ends_at, attempt.returncode, attempt.inner = self.clock.now, -9, ""
        elif attempt.act.on_term_s is not None:
            leaves_at = self.clock.now + attempt.act.on_term_s
            if leaves_at < attempt.ends_at:
                attempt.ends_at, attempt.returncode = leaves_at, 143
        return True

    def prepare(self) -> None:
        """Nothing is quicker for it."""

    def close(self) -> None:
        """Nothing to let go of: what attempts hold is theirs."""

    def _let_go(self, token: str) -> None:
        """Closes what an ended attempt held, as its keeper would."""
        for held, descriptor in self._held:
            if held == token:
                os.close(descriptor)
        self._held = [one for one in self._held if one[0] != token]

    def _next(self, handle: Handle) -> float:
        """When a poll of the handle is next worth it."""
        attempt = self._attempts.get(handle)
        if attempt is None:
            return self.clock.now
        if self.clock.now < attempt.ends_at or attempt.returncode is not None:
            return attempt.ends_at
        return attempt.ends_at + attempt.act.strays_s
