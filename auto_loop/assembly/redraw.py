"""Having reports drawn by a child process while a loop runs; the supervisor imports nothing that draws."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.event import Event
from auto_loop.launch.environment import inherited


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """Where a study's report goes, and the ledger that it is drawn from."""

    ledger: Path
    markdown: Path
    summary: Path


# A drawing takes half a second of a core: so many seconds lie between two, and it steps back behind the jobs.
_REST_S = 5.0
_NICE = 10


class Redraw:
    """Has the report drawn by a child process, one at a time and with rests; what is asked meanwhile is drawn by the
    next. As an observer it starts what is due when something happens, which is every second while the loop waits.

    What the child says goes to `log`.
    """

    def __init__(self, command: Sequence[str], around: Surroundings) -> None:
        self._command = command
        self._around = around
        self.log = around.layout.scratch / "report.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._due = False
        self._rested_at = around.clock() + _REST_S

    def __call__(self) -> None:
        """Ask for a new report; returns at once."""
        self._due = True

    def on_event(self, event: Event) -> None:
        """Start the drawing that is due, when none is under way and the rest after the last one is over."""
        if not self._due or event.kind != "progress" or self._around.clock() < self._rested_at:
            return
        if self._child is not None and self._child.poll() is None:
            return
        self._due = False
        self._child = self._start()
        self._rested_at = self._around.clock() + _REST_S
        if self._child is not None:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICE)

    def finish(self) -> bool:
        """Draw a last time and wait for it; False when that failed."""
        if self._child is not None:
            self._child.wait()
        self._due = False
        self._child = self._start()
        return self._child is not None and self._child.wait() == 0

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The child at work; None where it cannot be started: the disk is full, or its log's folder was taken away."""
        env = inherited(self._around.env)
        with suppress(OSError), ExitStack() as closed:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            log = closed.enter_context(self.log.open("ab"))
            return subprocess.Popen(
                self._command,
                cwd=self._around.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                start_new_session=True,  # a terminal's Ctrl-C is for the loop, which still wants its report
            )
        return None
