"""Old runs as a back-test takes them: read from their folders, whoever started them, and from what ledgers know."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from auto_loop.assembly.named_files import shown
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError
from auto_loop.domain.job import Attempt, Job
from auto_loop.domain.series import Series, Source
from auto_loop.domain.stats import summarise
from auto_loop.domain.summary import Summary
from auto_loop.ledger.reading import Reading as LedgerReading
from auto_loop.readers.base import Reading
from auto_loop.readers.clock import clock_of
from auto_loop.readers.registry import read_run
from auto_loop.readers.runs import find_config, find_runs, last_write
from auto_loop.rules.model import Pack
from auto_loop.workspace.layout import Layout

_LEAST_S = 1.0  # files that were copied all at once tell no time


class Timed(StrEnum):
    """How the time is known that a run took."""

    TIMESTAMPS = "its log's timestamps"
    LEDGER = "the ledger's times, by steps"
    FILES = "file times, by steps"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRun:
    """A run that has ended. `summary` has its series, under the pack's names.

    `clock` holds the seconds at each step where the log has them, `seconds` what the whole run took. `gpus` is how many
    it held; None where nobody wrote that down.
    """

    name: str
    summary: Summary
    clock: Series | None = None
    seconds: float | None = None
    timed: Timed = Timed.UNKNOWN
    gpus: int | None = None

    @property
    def last_step(self) -> int:
        """The last step that anything was logged at."""
        live = (one for one in self.summary.series.values() if one.source is not Source.FINAL_ONLY and len(one.steps))
        return max((int(one.steps[-1]) for one in live), default=0)

    def seconds_after(self, step: int) -> float | None:
        """How much of its time was still to come at a step; None where it is not known."""
        if self.clock is not None:
            at = int(self.clock.steps.searchsorted(step))
            return float(self.clock.values[-1] - self.clock.values[min(at, len(self.clock.values) - 1)])
        if self.seconds is None or self.last_step <= 0:
            return None
        return self.seconds * max(self.last_step - step, 0) / self.last_step


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRuns:
    """The old runs, the latest written first, and a line for each thing that was left out or damaged."""

    runs: tuple[OldRun, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Where old runs are looked for, and at most how many. `ledger` is asked instead of those near the folders."""

    folders: tuple[Path, ...]
    limit: int
    root: Path
    ledger: Path | None = None


Known = Mapping[Path, tuple[Job, Attempt]]


def old_runs(sought: Sought, pack: Pack) -> FoundRuns:
    """The newest runs below the folders. MisuseError names every folder that is none."""
    missing = [folder for folder in sought.folders if not folder.is_dir()]
    if missing:
        hint = "--runs names folders with old runs below them"
        raise MisuseError([Fault(what="no such folder", where=str(folder), hint=hint) for folder in missing])
    found = {place.resolve(): place for folder in sought.folders for place in find_runs(folder, sought.limit)}
    newest = sorted(found.values(), key=lambda place: -(last_write(place) or 0.0))[: sought.limit]
    known, notes = _known(sought, newest)
    runs: list[OldRun] = []
    for place in newest:
        name = shown(place, sought.root)
        try:
            run = _old_run(place, name, pack, known.get(place.resolve()))
        except Exception as error:  # noqa: BLE001 (one broken run must not cost the others)
            notes.append(f"{name}: left out: {type(error).__name__}: {error}")
            continue
        if run is None:
            notes.append(f"{name}: left out: no readable metrics")
        else:
            runs.append(run)
            notes.extend(f"{name}: {note}" for note in run.summary.notes)
    return FoundRuns(runs=tuple(runs), notes=tuple(notes))


def _old_run(place: Path, name: str, pack: Pack, known: tuple[Job, Attempt] | None) -> OldRun | None:
    reading = read_run(place)
    if reading is None:
        return None
    run = OldRun(name=name, summary=_summary(place, name, pack, reading), clock=clock_of(place, reading))
    if known is not None:
        run = _with_ledger(run, *known)
    return _timed(run, place)


def _summary(place: Path, name: str, pack: Pack, reading: Reading) -> Summary:
    series = {pack.canonical(one): found for one, found in reading.series.items()}
    series |= {one: found for one, found in reading.series.items() if pack.canonical(one) == one}
    config = find_config(place)
    return Summary(
        run_dir=name,
        config=config.config if config else None,
        config_file=config.file if config else "",
        metrics=summarise(series, pack.direction),
        series=series,
        notes=reading.notes,
    )


def _with_ledger(run: OldRun, job: Job, attempt: Attempt) -> OldRun:
    summary = replace(
        run.summary,
        config=job.config,
        config_file=job.cfg_file,
        outcome=attempt.outcome,
        log_tail=attempt.log_tail,
    )
    began, ended = attempt.started_at, attempt.ended_at
    seconds = ended - began if began is not None and ended is not None and ended > began else None
    timed = Timed.LEDGER if seconds is not None else Timed.UNKNOWN
    return replace(run, summary=summary, seconds=seconds, timed=timed, gpus=len(attempt.gpus))


def _timed(run: OldRun, place: Path) -> OldRun:
    """The run with its time: of the log where it has one, else of the ledger, else of its files."""
    if run.clock is not None:
        span = float(run.clock.values[-1] - run.clock.values[0])
        return replace(run, seconds=max(span, run.seconds or 0.0), timed=Timed.TIMESTAMPS)
    if run.seconds is not None:
        return run
    began, ended = _first_write(place), last_write(place)
    if began is None or ended is None or ended - began < _LEAST_S:
        return run
    return replace(run, seconds=ended - began, timed=Timed.FILES)


def _first_write(place: Path) -> float | None:
    """When the oldest file right in the folder, or of its W&B runs, was written (unix seconds)."""
    files = (file for pattern in ("*", "wandb/*/*", "wandb/*/files/*") for file in place.glob(pattern))
    return min((file.stat().st_mtime for file in files if file.is_file()), default=None)


def _known(sought: Sought, places: Iterable[Path]) -> tuple[Known, list[str]]:
    """What ledgers know of the runs, by their folders, and a line for each ledger that could not be read."""
    known: dict[Path, tuple[Job, Attempt]] = {}
    notes: list[str] = []
    for file, root in _ledgers(sought, places).items():
        try:
            with closing(LedgerReading.open(file)) as reading:
                for job in _jobs(reading):
                    known |= {(root / one.output_dir).resolve(): (job, one) for one in job.attempts}
        except AutoLoopError as error:
            if sought.ledger is not None:
                raise
            notes.append(f"{shown(file, sought.root)}: not read: {error}")
    return known, notes


def _jobs(reading: LedgerReading) -> Iterable[Job]:
    return (job for study in reading.studies() for job in reading.history(study.name).jobs)


def _ledgers(sought: Sought, places: Iterable[Path]) -> dict[Path, Path]:
    """The ledgers to ask, each with the folder that its output folders are relative to: those of the runs' projects."""
    if sought.ledger is not None:
        beside = sought.ledger.resolve().parent
        return {sought.ledger: beside.parent if beside.name == "outputs" else sought.root}
    above = dict.fromkeys(folder for place in places for folder in place.resolve().parents)
    return {file: folder for folder in above if (file := Layout(folder).ledger_file).is_file()}
