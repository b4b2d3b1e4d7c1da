"""Signals, as the person's intent: Ctrl-C once and twice, SIGTERM, SIGHUP."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from auto_loop.loop.actions import Intent

_NEXT = {
    Intent.RUN: Intent.DRAIN,
    Intent.DRAIN: Intent.STOP,
    Intent.STOP: Intent.KILL,
    Intent.KILL: Intent.KILL,
    Intent.LEAVE: Intent.LEAVE,
}


class Signals:
    """While entered: `intent` says what was asked for; `wake` is called when it changes, to end a wait.

    Ctrl-C: launch nothing more; again: stop the jobs with grace; once more: end them now. SIGTERM: leave at once, jobs
    train on and are adopted later. SIGHUP (a closed terminal): go on.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.intent = Intent.RUN
        self._wake = wake
        self._before: dict[int, signal.Handlers | object] = {}

    def __enter__(self) -> Self:
        for number, handler in (
            (signal.SIGINT, self._interrupt),
            (signal.SIGTERM, self._leave),
            (signal.SIGHUP, signal.SIG_IGN),
        ):
            self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # signal() takes back what it gave

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.intent = _NEXT[self.intent]
        self._wake()

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.intent = Intent.LEAVE
        self._wake()
