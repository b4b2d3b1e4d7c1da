"""Signals, as the person's intent: Ctrl-C once and twice, SIGTERM, SIGHUP."""

import os
import signal
from types import FrameType, TracebackType
from typing import Self

from auto_loop.loop.actions import Intent


class Signals:
    """While entered: `intent` says what was asked for, and `fileno()` becomes readable when it changes.

    Ctrl-C: launch nothing more; again: stop the jobs with grace. SIGTERM: leave at once, jobs train on and are adopted
    later. SIGHUP (a closed terminal): go on.
    """

    def __init__(self) -> None:
        self.intent = Intent.RUN
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
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
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._read

    def drain(self) -> None:
        """Empty the pipe after a wake-up."""
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            return

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.intent = Intent.DRAIN if self.intent is Intent.RUN else Intent.STOP
        self._wake()

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.intent = Intent.LEAVE
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            return
