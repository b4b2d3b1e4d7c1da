"""The calls of the front doors, carried out: plan or run, resume, and the exit code that follows."""

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from auto_loop.assembly.choices import choose_pack, choose_profile
from auto_loop.assembly.plan_text import plan_text, planned_job
from auto_loop.assembly.prepare import Prepared, prepare, refused_configs
from auto_loop.assembly.redraw import Redraw, ReportFiles
from auto_loop.assembly.requests import Requests
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Config, Json
from auto_loop.domain.edits import parse_edits
from auto_loop.domain.errors import Fault, MisuseError, RefusedError
from auto_loop.domain.event import Event
from auto_loop.domain.job import NewJob, Origin, Outcome
from auto_loop.domain.slot import Device
from auto_loop.domain.study import Loop
from auto_loop.launch.base import Launcher
from auto_loop.launch.local import LocalLauncher
from auto_loop.launch.ports import lease_folder, lease_port
from auto_loop.ledger.lease import Lease, holder
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from auto_loop.loop.driver import Driver, LoopEnd
from auto_loop.loop.parts import Observer, Parts, Workshop
from auto_loop.loop.rounds import free_name
from auto_loop.loop.signals import Signals
from auto_loop.loop.watch import Watch
from auto_loop.workspace.configs import write_variant
from auto_loop.workspace.files import tail_text

DONE, WITH_FAILURES, INTERRUPTED = 0, 1, 130
_LOG_TAIL_BYTES = 8 * 1024
# By path: the package need not be installed, nor lie below the working folder.
_PROGRAM = Path(__file__).resolve().parent.parent / "__main__.py"
LauncherFactory = Callable[[], Launcher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What a front door brings: whom to tell, how to print, and the launcher (the real one unless a test's)."""

    observer: Observer
    say: Callable[[str], None] = print
    launcher: LauncherFactory = LocalLauncher


def run_autorun(call: AutorunCall, front: Front, around: Surroundings | None = None) -> int:
    """Print the plan, or run the loop to its end; the exit code."""
    around = around or Surroundings.here()
    if call.resume:
        call = resumed(call, around)
    if call.execute:
        front.say("Preparing: reading the configs and asking the trainer about them.")
    prepared = prepare(call, around)
    if not call.execute:
        front.say(printed_plan(prepared, around))
        return DONE
    return execute(prepared, front, around)


def printed_plan(prepared: Prepared, around: Surroundings) -> str:
    """The first round's jobs, each with the slot it would take, its command, log and output folder."""
    loop = int(around.clock())
    requests = Requests(prepared=prepared, around=around, loop=loop)
    slots = prepared.slots.value
    planned = []
    for at, (name, file, config) in enumerate(first_jobs(prepared, around)):
        job = planned_job(at + 1, prepared.study, loop, name, file, config, requests.output_dir(name))
        slot = slots[at % len(slots)]
        planned.append((job, slot, requests.request(job, slot, 1, "")))
    return plan_text(prepared, loop, planned)


def first_jobs(prepared: Prepared, around: Surroundings) -> list[tuple[str, str, Config]]:
    """Name, config file (relative to the project) and config of each job of the first round."""
    jobs: list[tuple[str, str, Config]] = []
    for loaded in prepared.configs:
        name = free_name(loaded.path.stem, [taken for taken, _, _ in jobs])
        jobs.append((name, shown(loaded.path, around.root), loaded.config))
    return jobs


def shown(file: Path, root: Path) -> str:
    """A file as it is named in the project: relative to its folder, if it lies below."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def resumed(call: AutorunCall, around: Surroundings) -> AutorunCall:
    """The call with the stored flags of the study's unfinished loop. MisuseError when there is none."""
    study = call.study or choose_pack(call, choose_profile(call, around.root).value, around.root).value.name
    open_loops = unfinished_loops(ledger_file(call, around))
    if study not in open_loops:
        others = f"unfinished: {', '.join(open_loops)}; name one with --study, or " if open_loops else ""
        hint = f"{others}leave --resume out to start a new loop"
        raise MisuseError(Fault(what=f"study {study} has no unfinished loop", where="--resume", hint=hint))
    return replace(call.resumed(open_loops[study].flags), study=study, resume=True)


def unfinished_loops(ledger: Path) -> dict[str, Loop]:
    """Each study's unfinished loop, by the study's name; none where there is no ledger, and none is made."""
    if not ledger.is_file():
        return {}
    with closing(Reading.open(ledger)) as reading:
        found = {study.name: reading.unfinished_loop(study.name) for study in reading.studies()}
    return {name: loop for name, loop in found.items() if loop is not None}


def ledger_file(call: AutorunCall, around: Surroundings) -> Path:
    """The ledger: as asked, else the project's."""
    return around.root / call.ledger if call.ledger else around.layout.ledger_file


def report_files(call: AutorunCall, study: str, around: Surroundings) -> ReportFiles:
    """Where the study's report goes."""
    markdown = around.root / call.markdown_out if call.markdown_out else around.layout.report_file(study)
    return ReportFiles(ledger=ledger_file(call, around), markdown=markdown, summary=around.root / call.summary_out)


def execute(prepared: Prepared, front: Front, around: Surroundings) -> int:
    """Hold the study, open its loop, drive it to the end, and have the report drawn."""
    with ExitStack() as stack:
        study, lease = hold(prepared, front, around)
        stack.enter_context(lease)
        prepared = replace(prepared, study=study)
        ledger = stack.enter_context(Ledger.open(ledger_file(prepared.call, around), around.clock))
        for text in (*([ledger.note] if ledger.note else []), *prepared.notes, *_loud(prepared)):
            front.say(f"note: {text}")
        for warning in prepared.warnings:
            front.say(f"warning: {warning}")
        ledger.ensure_study(study, prepared.pack.name, prepared.profile.name)
        loop = open_loop(prepared, ledger, around)
        launcher = front.launcher()
        stack.callback(launcher.close)
        redraw = Redraw(report_command(prepared.call, study, around), around)
        signals = stack.enter_context(Signals(launcher.wake))
        parts = join(prepared, ledger, loop, launcher, signals, front, around, redraw)
        front.observer.on_event(started(parts, around))
        end = Driver(parts).run()
        drawn = redraw.finish()
        return farewell(parts, end, report_files(prepared.call, study, around), around, front, drawn=drawn)


def hold(prepared: Prepared, front: Front, around: Surroundings) -> tuple[str, Lease]:
    """The study's lease. An unnamed study that is held becomes `<name>-2`, and so on; a named one is refused."""
    file, number = ledger_file(prepared.call, around), 1
    me: dict[str, Json] = {"host": socket.gethostname(), "pid": _pid(), "since": around.clock()}
    while True:
        study = prepared.study if number == 1 else f"{prepared.study}-{number}"
        lease = Lease.take(file, study, me)
        if lease is not None:
            if number > 1:
                front.say(f"note: study {prepared.study} is held by a running supervisor; this call is study {study}")
            return study, lease
        if prepared.call.study:
            who = holder(file, study)
            hint = "wait for it, or name another study with --study"
            what = f"study {study} is held by process {who.get('pid')} on {who.get('host')}"
            raise RefusedError(Fault(what=what, where="--study", hint=hint))
        number += 1


def _pid() -> int:
    from os import getpid  # the one place that asks who we are

    return getpid()


def open_loop(prepared: Prepared, ledger: Ledger, around: Surroundings) -> int:
    """The loop's number: the unfinished one's when it is resumed, else a new one with its first jobs queued."""
    study, call = prepared.study, prepared.call
    if call.resume:
        loop = ledger.unfinished_loop(study)
        if loop is None:
            raise MisuseError(Fault(what=f"study {study} has no unfinished loop any more", where="--resume"))
        return loop.number
    number = max(int(around.clock()), ledger.last_loop_number() + 1)
    requests = Requests(prepared=prepared, around=around, loop=number)
    with ledger.transaction():
        ledger.open_loop(study, number, call.flags())
        for name, file, config in first_jobs(prepared, around):
            origin = ledger.origin_of(config.fingerprint) or Origin()
            ledger.add_job(
                NewJob(
                    study=study,
                    loop=number,
                    round=1,
                    name=name,
                    cfg_file=file,
                    config=config,
                    output_dir=requests.output_dir(name),
                    origin=origin,
                )
            )
    return number


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
    requests = Requests(
        prepared=prepared, around=around, loop=loop, lease=lambda: lease_port(lease_folder(around.env))
    )
    return Parts(
        study=prepared.study,
        loop=loop,
        call=prepared.call,
        slots=prepared.slots.value,
        pack=prepared.pack.value,
        types=prepared.fields.types,
        guardrails=prepared.guardrails,
        ledger=ledger,
        launcher=launcher,
        meter=Watch(around.root, prepared.pack.value, tail_text),
        signals=signals,
        observers=(front.observer, redraw),
        workshop=Workshop(
            request_for=requests.request,
            output_dir_of=requests.output_dir,
            write_variant=lambda file, base, edits, config: around.root
            / write_variant(
                around.root / file,
                config,
                parse_edits(edits),
                (around.root / file).parent,
                base_fingerprint=base.fingerprint,
            ),
            refused_by_trainer=lambda configs: refused_configs(prepared.trainer, configs),
            log_tail=lambda file: tail_text(Path(file), _LOG_TAIL_BYTES),
            redraw=redraw,
            clock=around.clock,
            new_token=around.new_token,
        ),
    )


def _loud(prepared: Prepared) -> list[str]:
    """What must not pass in silence: training on the CPU because no GPU was found."""
    slots = prepared.slots.value
    if slots[0].device is Device.CPU and prepared.call.device == "auto":
        return [f"NO GPU WAS FOUND: training on the CPU, {len(slots)} slots (--device cpu says it without this note)"]
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
    return [sys.executable, str(_PROGRAM), "report", study, *words, "--quiet"]


def farewell(
    parts: Parts, end: LoopEnd, files: ReportFiles, around: Surroundings, front: Front, *, drawn: bool
) -> int:
    """The last lines: how it ended, and where the report is; the exit code."""
    ended = parts.ledger.reading.outcomes(parts.loop)
    failed = [name for name, outcome in ended.items() if outcome in (Outcome.FAILED, Outcome.LOST)]
    front.say(f"Ended: {end.reason}")
    if failed:
        front.say(f"Failed: {', '.join(failed)} (their last lines are in the report).")
    if drawn:
        front.say(f"Report: {shown(files.markdown, around.root)}  (as JSON: {shown(files.summary, around.root)})")
    else:
        log = shown(around.layout.scratch / "report.log", around.root)
        front.say(f"The report could not be drawn ({log} says why); `auto-loop report {parts.study}` tries again.")
    if not end.finished:
        front.say(f"The loop is unfinished: `autorun --resume --study {parts.study} --exec` goes on with it.")
        return INTERRUPTED
    return WITH_FAILURES if failed else DONE
