"""Reports: drawn from the ledger, by a child process while a loop runs."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from auto_loop.assembly.choices import pack_named
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError
from auto_loop.domain.event import Event
from auto_loop.domain.secrets import secrets_of
from auto_loop.launch.environment import inherited
from auto_loop.ledger.reading import Reading
from auto_loop.reporting.files import write_markdown, write_summary
from auto_loop.reporting.lens import Band, Lens
from auto_loop.reporting.report import report
from auto_loop.rules import pack as packs
from auto_loop.rules.model import Pack


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFiles:
    """Where a study's report goes, and the ledger that it is drawn from."""

    ledger: Path
    markdown: Path
    summary: Path


def draw(study: str, files: ReportFiles, around: Surroundings) -> None:
    """Write the study's Markdown report, and the JSON of all studies in the ledger."""
    reading = Reading.open(files.ledger)
    try:
        known = [one.name for one in reading.studies()]
        if study not in known:
            raise MisuseError(Fault(what=f"there is no study {study}", hint=f"there: {', '.join(known) or 'none'}"))
        now = around.clock()
        reports = {
            one.name: report(reading.history(one.name), lens_of(_pack_of(one.pack, around), around), now)
            for one in reading.studies()
        }
    finally:
        reading.close()
    zone = datetime.fromtimestamp(now).astimezone().tzinfo
    write_markdown(reports[study], files.markdown, *([zone] if zone else []))
    write_summary(reports.values(), files.summary)


def lens_of(pack: Pack, around: Surroundings) -> Lens:
    """The pack's view of a study's metrics."""
    bands = {
        name: Band(dead_below=metric.dead, low=low, high=high)
        for name, metric in pack.metrics.items()
        for low, high in [metric.band or (None, None)]
        if metric.band is not None or metric.dead is not None
    }
    return Lens(
        main_metric=pack.main_metric,
        min_difference=pack.objective.min_difference,
        key_metrics=pack.key_metrics,
        bands=bands,
        direction=pack.direction,
        canonical=pack.canonical,
        root=str(around.root),
        secrets=secrets_of(around.env),
    )


def _pack_of(name: str, around: Surroundings) -> Pack:
    """The study's pack; when its file is gone or broken a report is still drawn, with the usual names."""
    try:
        return pack_named(name, around.root)
    except AutoLoopError:
        return packs.shipped_pack(packs.DEFAULT)


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
