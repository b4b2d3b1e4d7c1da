"""Drawing a study's reports from the ledger."""

from datetime import datetime

from auto_loop.assembly.choices import pack_named, profile_named
from auto_loop.assembly.redraw import ReportFiles
from auto_loop.assembly.supervisors import Here, undriven
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError
from auto_loop.domain.event import Event
from auto_loop.domain.paths import parse_path
from auto_loop.domain.secrets import secrets_of
from auto_loop.domain.study import Study
from auto_loop.launch import processes
from auto_loop.launch.profile import Profile
from auto_loop.ledger.reading import Reading
from auto_loop.proposers.rulebook import goal_direction, objective
from auto_loop.reporting.files import write_markdown, write_summary
from auto_loop.reporting.lens import Band, Lens
from auto_loop.reporting.report import TOLD, report
from auto_loop.reporting.told import Report
from auto_loop.rules import pack as packs
from auto_loop.rules.model import Pack


def draw(study: str, files: ReportFiles, around: Surroundings) -> None:
    """Write the study's Markdown report, and the JSON of all studies in the ledger."""
    reading = Reading.open(files.ledger)
    try:
        known = [one.name for one in reading.studies()]
        if study not in known:
            raise MisuseError(Fault(what=f"there is no study {study}", hint=f"there: {', '.join(known) or 'none'}"))
        now = around.clock()
        reports = {one.name: _report(one, reading, around, now, whole=one.name == study) for one in reading.studies()}
    finally:
        reading.close()
    zone = datetime.fromtimestamp(now).astimezone().tzinfo
    write_markdown(reports[study], files.markdown, *([zone] if zone else []))
    write_summary(reports.values(), files.summary)


def _report(study: Study, reading: Reading, around: Surroundings, now: float, *, whole: bool) -> Report:
    """The study's report; `whole`: with what only events tell, which Markdown says and JSON does not."""
    lens = lens_of(_pack_of(study.pack, around), _profile_of(study.profile, around), around)
    if not whole:
        return report(reading.history(study.name), lens, now)
    here = Here(host=around.host, boot_id=processes.boot_id())
    nobody = undriven(study.name, reading.supervisor(study.name), here)
    return report(reading.history(study.name), lens, now, events=_events(study.name, reading), undriven=nobody)


def _events(study: str, reading: Reading) -> list[Event]:
    """The events that a report tells of, of all the study's loops."""
    found = []
    for loop in reading.loops(study):
        after = 0
        while page := reading.events(loop.number, after):
            found += [event for _, event in page if event.kind in TOLD]
            after = page[-1][0]
    return found


def lens_of(pack: Pack, profile: Profile | None, around: Surroundings) -> Lens:
    """The pack's view of a study's metrics, and what the profile knows of seeds."""
    goal = (lambda summary: objective(pack, summary)) if pack.objective.expression is not None else None
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
        seed=parse_path(profile.seed) if profile is not None and profile.seed else None,
        paired=profile is not None and profile.paired_streams,
        goal=goal,
        goal_is=goal_direction(pack),
        logs={name: of for name in pack.metrics if (of := _logarithm_of(name)) in pack.metrics},
    )


def _logarithm_of(metric: str) -> str:
    """The metric whose logarithm one is, by its name: `train/ot_pi_sum` of `train/ot_log_pi_sum`; "" for any other."""
    folder, _, name = metric.rpartition("/")
    words = name.split("_")
    if "log" not in words:
        return ""
    words.remove("log")
    return f"{folder}/{'_'.join(words)}" if folder else "_".join(words)


def _profile_of(name: str, around: Surroundings) -> Profile | None:
    """The study's profile; None when its file is gone or broken: then nothing is known of seeds."""
    try:
        return profile_named(name, around.root)
    except AutoLoopError:
        return None


def _pack_of(name: str, around: Surroundings) -> Pack:
    """The study's pack; when its file is gone or broken a report is still drawn, with the usual names."""
    try:
        return pack_named(name, around.root)
    except AutoLoopError:
        return packs.shipped_pack(packs.DEFAULT)
