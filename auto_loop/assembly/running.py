"""The calls of the front doors, carried out: plan or run, resume, and the exit code that follows."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from auto_loop.assembly.loops import enter, hold, open_loop, resumed
from auto_loop.assembly.named_files import ledger_file, pid_file, report_files, shown
from auto_loop.assembly.pid_file import check_pid_file, pid_in
from auto_loop.assembly.places import lacking_room, written_to
from auto_loop.assembly.plan_text import printed_plan
from auto_loop.assembly.prepare import Prepared, prepare, refused_by
from auto_loop.assembly.redraw import Redraw, ReportFiles
from auto_loop.assembly.requests import Requests
from auto_loop.assembly.rulebooks import changed_rules, rulebook
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.assembly.variants import variant_beside
from auto_loop.assembly.waiting import failed_jobs
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Json
from auto_loop.domain.errors import AutoLoopError, DiskFullError
from auto_loop.domain.event import Event
from auto_loop.domain.secrets import secrets_in, secrets_of
from auto_loop.domain.slot import Device
from auto_loop.launch.base import Launcher
from auto_loop.launch.gate import Gate
from auto_loop.launch.gpu_leases import Owner
from auto_loop.launch.local import LocalLauncher
from auto_loop.launch.ports import lease_folder
from auto_loop.ledger.ledger import Ledger
from auto_loop.loop.driver import Driver, LoopEnd
from auto_loop.loop.parts import Observer, Parts, Workshop
from auto_loop.loop.signals import Signals
from auto_loop.loop.tried import Tried
from auto_loop.loop.watch import Watch
from auto_loop.workspace.files import tail_text

DONE, WITH_FAILURES, INTERRUPTED = 0, 1, 130
PREPARING = "Preparing: reading the configs and asking the trainer about them."
_LOG_TAIL_BYTES = 8 * 1024
# By path: the package need not be installed, nor lie below the working folder.
PROGRAM = Path(__file__).resolve().parent.parent / "__main__.py"
LauncherFactory = Callable[[], Launcher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What a front door brings: whom to tell, how to print, and the launcher (the real one unless a test's)."""

    observer: Observer
    say: Callable[[str], None] = print
    launcher: LauncherFactory | None = None


def run_autorun(call: AutorunCall, front: Front, around: Surroundings | None = None) -> int:
    """Print the plan, or run the loop to its end; the exit code."""
    around = around or Surroundings.here()
    prepared = checked(call, front.say, around)
    if not call.execute:
        front.say(printed_plan(prepared, around))
        return DONE
    return execute(prepared, front, around)


def checked(call: AutorunCall, say: Callable[[str], None], around: Surroundings) -> Prepared:
    """All that the call needs, found sound; MisuseError or RefusedError with every fault. Nothing is begun."""
    if call.resume:
        call = resumed(call, around)
    check_pid_file(pid_file(call, around), call.pid_file)
    if call.execute:
        say(PREPARING)
    return prepare(call, around)


def execute(prepared: Prepared, front: Front, around: Surroundings) -> int:
    """Hold the study, open its loop, drive it to the end, and have the report drawn."""
    with ExitStack() as stack:
        if prepared.trainer is not None:
            stack.callback(prepared.trainer.close)
        ledger = stack.enter_context(Ledger.open(ledger_file(prepared.call, around), around.clock, around.fault))
        study, lease = hold(prepared, ledger, front.say, around)
        stack.enter_context(lease)
        stack.enter_context(pid_in(pid_file(prepared.call, around)))
        prepared = replace(prepared, study=study)
        for text in (*([ledger.note] if ledger.note else []), *prepared.notes, *_loud(prepared)):
            front.say(f"note: {text}")
        for warning in prepared.warnings:
            front.say(f"warning: {warning}")
        loop = begin(prepared, ledger, around)
        launcher = front.launcher() if front.launcher else LocalLauncher(fault=around.fault)
        stack.callback(launcher.close)
        redraw = Redraw(report_command(prepared.call, study, around), around)
        signals = stack.enter_context(Signals(launcher.wake))
        parts = join(prepared, ledger, loop, launcher, signals, front, around, redraw)
        if changed := changed_rules(ledger.reading.decisions, study, loop, parts.rulebook):
            front.say(f"note: {changed}")
        front.observer.on_event(started(parts, around))
        try:
            end = Driver(parts).run()
        except (AutoLoopError, OSError):  # a full disk, a folder taken away: what was run is not lost
            redraw.finish()
            front.say(_unfinished(study))
            raise
        with suppress(DiskFullError):  # the next supervisor finds that this one is gone
            ledger.supervisor_left(study)
        drawn = redraw.finish()
        return farewell(parts, end, report_files(prepared.call, study, around), around, front, drawn=drawn)


def begin(prepared: Prepared, ledger: Ledger, around: Surroundings) -> int:
    """The loop's number, with who drives it, in one commit."""
    with ledger.transaction():
        ledger.ensure_study(prepared.study, prepared.pack.name, prepared.profile.name)
        enter(prepared.study, ledger, around)
        return open_loop(prepared, ledger, around)


def join(
    prepared: Prepared,
    ledger: Ledger,
    loop: int,
    launcher: Launcher,
    signals: Signals,
    front: Front,
    around: Surroundings,
    redraw: Redraw,
) -> Parts:
    """The parts of one loop, joined."""
    requests, root = Requests(prepared=prepared, around=around, loop=loop, job_of=ledger.reading.job), around.root
    folders = written_to(prepared.call, root)
    return Parts(
        study=prepared.study,
        loop=loop,
        call=prepared.call,
        slots=prepared.slots.value,
        pack=prepared.pack.value,
        types=prepared.fields.types,
        guardrails=prepared.guardrails,
        failures=prepared.profile.value.failures,
        rulebook=rulebook(prepared, root) if prepared.call.decide else {},
        seed=prepared.seed,
        paired=prepared.profile.value.paired_streams,
        ledger=ledger,
        tried=Tried(reading=ledger.reading, ignore=prepared.ignore, seed=prepared.seed),
        launcher=launcher,
        meter=Watch(around.root, prepared.pack.value, tail_text),
        signals=signals,
        observers=(front.observer, redraw),
        workshop=Workshop(
            order=requests.order,
            admit=gate(prepared, around).admit,
            gpu_lost=lambda uuid: bool(around.survey.look(uuid).lost),
            room=lambda: lacking_room(folders, around.least_free),
            output_dir_of=requests.output_dir,
            write_variant=lambda *variant: variant_beside(root, *variant, fault=around.fault),
            refused_by_trainer=lambda configs: refused_by(prepared.trainer, configs),
            log_tail=lambda file: tail_text(Path(file), _LOG_TAIL_BYTES),
            log_bytes=log_bytes,
            redraw=redraw,
            secrets=(*secrets_of(around.env), *secrets_in(prepared.call.extra)),
            clock=around.clock,
            new_token=around.new_token,
        ),
        since=around.clock(),
    )


def gate(prepared: Prepared, around: Surroundings) -> Gate:
    """What decides which free slots may take a job."""
    ledger = str(ledger_file(prepared.call, around).resolve())
    return Gate(
        folder=lease_folder(around.env),
        owner=Owner(study=prepared.study, ledger=ledger, pid=os.getpid(), since=around.clock()),
        allow_busy=prepared.call.allow_busy,
        survey=around.survey,
        clock=around.clock,
    )


def log_bytes(file: str) -> int:
    """How much an attempt has printed; 0 while it has no log."""
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def _loud(prepared: Prepared) -> list[str]:
    """What must not pass in silence: training on the CPU because no GPU was found."""
    slots = prepared.slots.value
    if slots[0].device is Device.CPU and prepared.call.device == "auto":
        count = f"{len(slots)} slot{'s' if len(slots) > 1 else ''}"
        return [f"NO GPU WAS FOUND: training on the CPU, {count} (--device cpu says it without this note)"]
    return []


def started(parts: Parts, around: Surroundings) -> Event:
    """The event that opens the progress."""
    snapshot = parts.ledger.reading.snapshot(parts.study, parts.loop, 0)
    kind = f"{len(parts.slots)} slot{'s' if len(parts.slots) > 1 else ''} ({parts.slots[0].device.value})"
    detail: dict[str, Json] = {
        "study": parts.study,
        "loop": parts.loop,
        "round": snapshot.round,
        "rounds": parts.call.rounds,
        "jobs": snapshot.queued + len(snapshot.active) + snapshot.done,
        "slots": kind,
    }
    return Event(kind="loop started", at=around.clock(), study=parts.study, loop=parts.loop, detail=detail)


def report_command(call: AutorunCall, study: str, around: Surroundings) -> Sequence[str]:
    """The command that draws the report."""
    files = report_files(call, study, around)
    words = ["--ledger", str(files.ledger), "--markdown-out", str(files.markdown), "--summary-out", str(files.summary)]
    return [sys.executable, str(PROGRAM), "report", study, *words, "--quiet"]


def farewell(parts: Parts, end: LoopEnd, files: ReportFiles, around: Surroundings, front: Front, *, drawn: bool) -> int:
    """The last lines: how it ended, and where the report is; the exit code."""
    failed = failed_jobs(parts.ledger.reading, parts.loop)
    front.say(f"Ended: {end.reason}")
    if failed:
        front.say(f"Failed: {', '.join(failed)} (their last lines are in the report).")
    if drawn:
        front.say(f"Report: {shown(files.markdown, around.root)}  (as JSON: {shown(files.summary, around.root)})")
    else:
        log = shown(around.layout.scratch / "report.log", around.root)
        front.say(f"The report could not be drawn ({log} says why); `auto-loop report {parts.study}` tries again.")
    if not end.finished:
        front.say(_unfinished(parts.study))
        return INTERRUPTED
    return WITH_FAILURES if failed else DONE


def _unfinished(study: str) -> str:
    return f"The loop is unfinished: `autorun --resume --study {study} --exec` goes on with it."
