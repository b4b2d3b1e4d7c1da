"""Rule cases judged: what a pack says of a run that is made up, held against what was expected of it.

Nothing is trained. The series become a run's summary, the rules and diagnoses are asked as they are when a round ends,
the live rules are played back, and the pack's laws are asked for what the first proposal would bring.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from auto_loop.domain.config import Config, Json
from auto_loop.domain.edits import Edit
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.guardrails import check
from auto_loop.domain.proposal import Proposal
from auto_loop.domain.series import Source, series_of
from auto_loop.domain.stats import summarise
from auto_loop.domain.summary import Summary
from auto_loop.rules.case_model import Aim, Case, LiveAt
from auto_loop.rules.engine import fire
from auto_loop.rules.explain import show
from auto_loop.rules.facts import facts_of
from auto_loop.rules.laws import predictions, why_unforeseen
from auto_loop.rules.live import PlayedBack, play_back
from auto_loop.rules.model import Pack, Stop, Then

_SAME = 1e-3  # of a number: a computed value is rounded to four digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """One expectation that was not met: what it is about, both sides in words, and the readings that explain it."""

    about: str
    expected: str
    got: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A case and what was found. It passed when nothing was missed."""

    case: Case
    misses: tuple[Miss, ...] = ()
    fired: tuple[str, ...] = ()
    stopped: LiveAt | None = None
    diagnoses: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all that was expected came true."""
        return not self.misses


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a pack's live rules do in one run: the one that ends it, if any does, those that warned until then, and
    every rule as it was played back."""

    stopped: PlayedBack | None = None
    warned: tuple[PlayedBack, ...] = ()
    played: Mapping[str, PlayedBack] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A case's run with all that the pack said of it."""

    pack: Pack
    run: Summary
    proposals: tuple[Proposal, ...]
    diagnoses: tuple[str, ...]
    live: Live


def judge(case: Case, pack: Pack) -> Judged:
    """The case held against the pack."""
    run = run_of(case, pack)
    firing = fire(pack, run)
    found = _Found(
        pack=pack,
        run=run,
        proposals=firing.proposals,
        diagnoses=tuple(one.name for one in firing.diagnoses),
        live=live_rules(pack, run),
    )
    stopped = found.live.stopped
    return Judged(
        case=case,
        misses=tuple(_misses(case, found)),
        fired=tuple(one.rule for one in found.proposals),
        stopped=None if stopped is None else LiveAt(rule=stopped.stop.name, at=stopped.at),
        diagnoses=found.diagnoses,
    )


def run_of(case: Case, pack: Pack) -> Summary:
    """The run that the case makes up, its metrics under the pack's names."""
    series = {
        name: series_of(name, [at for at, _ in points], [value for _, value in points], Source.METRICS)
        for metric, points in case.points.items()
        for name in [pack.canonical(metric)]
        if points
    }
    metrics = summarise(series, pack.direction)
    return Summary(run_dir=case.name, config=case.config, metrics=metrics, series=series, log_tail=case.log)


def live_rules(pack: Pack, run: Summary) -> Live:
    """The pack's live rules played back: the earliest one that is more than a warning ends the run; of two at one
    step, the one that the pack has first."""
    played = {stop.name: play_back(stop, run, pack) for stop in pack.stops}
    ending = [one for one in played.values() if one.at is not None and one.stop.then is not Then.WARN]
    stopped = min(ending, key=lambda one: one.at or 0, default=None)
    until = math.inf if stopped is None or stopped.at is None else stopped.at
    warned = [one for one in played.values() if one.stop.then is Then.WARN and one.at is not None and one.at <= until]
    return Live(stopped=stopped, warned=tuple(warned), played=played)


def why_silent(pack: Pack, name: str, run: Summary) -> str:
    """What kept a rule from proposing: the comparison that decided, with its value."""
    alone = replace(pack, rules=tuple(rule for rule in pack.rules if rule.name == name))
    return fire(alone, run).nearest.removeprefix(f"{name}: ")


def _misses(case: Case, found: _Found) -> Iterator[Miss]:
    yield from _rule_misses(case, found)
    yield from _live_misses(case, found.live, found.pack)
    wanted = case.expected.diagnoses
    if wanted is not None and wanted != found.diagnoses:
        yield _diagnosis_miss(wanted, found)
    if case.expected.change or case.expected.predicts:
        yield from _proposal_misses(case, found)


def _rule_misses(case: Case, found: _Found) -> Iterator[Miss]:
    fired = tuple(one.rule for one in found.proposals)
    exact, first = case.expected.fires, case.expected.fires_first
    if exact is not None and exact != fired:
        yield Miss(about="fires", expected=_list(exact), got=_list(fired), notes=_differences(exact, found))
    if first is not None and fired[: len(first)] != first:
        got = fired[: max(len(first), 1)]
        yield Miss(about="fires first", expected=_list(first), got=_list(got), notes=_differences(first, found, got))
    loud = tuple(name for name in fired if name in case.expected.silent)
    if loud:
        notes = tuple(_why_fired(one) for one in found.proposals if one.rule in loud)
        yield Miss(about="silent", expected=_list(case.expected.silent), got=f"{_list(loud)} fired", notes=notes)


def _differences(wanted: tuple[str, ...], found: _Found, got: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Why each rule that was expected was silent, and why each other one fired."""
    fired = {one.rule for one in found.proposals}
    shown = fired if got is None else set(got)
    silent = [
        f"{name!r} was silent: {why_silent(found.pack, name, found.run)}"
        for name in dict.fromkeys(wanted)
        if name not in fired
    ]
    loud = [_why_fired(one) for one in found.proposals if one.rule in shown and one.rule not in wanted]
    return (*silent, *loud) or ("the same rules in another order",)


def _why_fired(proposal: Proposal) -> str:
    return f"{proposal.rule!r} fired: {_readings(proposal.evidence)} (priority {proposal.priority})"


def _readings(readings: Mapping[str, Json]) -> str:
    """The readings that are known: what is not cannot have made a rule fire."""
    known = {name: value for name, value in readings.items() if isinstance(value, int | float | str)}
    return ", ".join(f"{name} = {show(value)}" for name, value in known.items()) or "it reads no metric"


def _live_misses(case: Case, live: Live, pack: Pack) -> Iterator[Miss]:
    if case.expected.stops is not None:
        got = () if live.stopped is None else (live.stopped,)
        yield from _live_miss("stops", case.expected.stops, got, live)
    if case.expected.warns is not None:
        yield from _live_miss("warns", case.expected.warns, live.warned, live)


def _live_miss(about: str, wanted: tuple[LiveAt, ...], got: tuple[PlayedBack, ...], live: Live) -> Iterator[Miss]:
    by_name = {one.stop.name: one.at for one in got}
    met = len(wanted) == len(got) and all(one.rule in by_name and one.at in (None, by_name[one.rule]) for one in wanted)
    if met:
        return
    notes = [
        f"{one.rule!r} was silent: {live.played[one.rule].says}"
        for one in wanted
        if one.rule in live.played and live.played[one.rule].at is None
    ]
    notes += [f"{one.stop.name!r} fired: {_readings(one.readings)} at step {one.at} ({when(one.stop)})" for one in got]
    reached = [LiveAt(rule=one.stop.name, at=one.at) for one in got]
    yield Miss(about=about, expected=_live_list(wanted), got=_live_list(tuple(reached)), notes=tuple(notes))


def when(stop: Stop) -> str:
    """When a live rule fires at the earliest, in words."""
    readings = "1 reading" if stop.readings == 1 else f"{stop.readings} readings in a row"
    return f"after step {stop.after}, for {readings}"


def _live_list(found: tuple[LiveAt, ...]) -> str:
    texts = [f"{one.rule!r}{'' if one.at is None else f' at step {one.at}'}" for one in found]
    return ", ".join(texts) or "none"


def _diagnosis_miss(wanted: tuple[str, ...], found: _Found) -> Miss:
    facts = facts_of(found.run, found.pack.canonical)
    notes: list[str] = []
    for one in found.pack.diagnoses:
        if one.name in wanted and one.name not in found.diagnoses:
            notes.append(f"{one.name!r} does not hold: {one.when.shortfall(facts).says}")
        elif one.name in found.diagnoses and one.name not in wanted:
            notes.append(f"{one.name!r} holds: {one.says.fill(facts)}")
    return Miss(about="diagnoses", expected=_list(wanted), got=_list(found.diagnoses), notes=tuple(notes))


def _proposal_misses(case: Case, found: _Found) -> Iterator[Miss]:
    """The change and the predictions, of the first proposal or of the one that the case names."""
    of = case.expected.of
    proposal = next((one for one in found.proposals if one.rule == of or not of), None)
    if proposal is None:
        what = f"a proposal of {of!r}" if of else "a proposal"
        notes = (f"{of!r} was silent: {why_silent(found.pack, of, found.run)}",) if of else ()
        yield Miss(about="change", expected=what, got="none", notes=notes)
        return
    for key, value in case.expected.change.items():
        if key not in proposal.changes or not _is_same(value, proposal.changes[key]):
            got = f"{key} = {_json(proposal.changes[key])}" if key in proposal.changes else _changes(proposal)
            note = _why_fired(proposal)
            yield Miss(about="change", expected=f"{key} = {_json(value)}", got=got, notes=(note,))
    if case.expected.predicts:
        yield from _prediction_misses(case, found, proposal)


def _prediction_misses(case: Case, found: _Found, proposal: Proposal) -> Iterator[Miss]:
    config, faults = changed_config(found.pack, case.config, proposal)
    facts = facts_of(found.run, found.pack.canonical)
    said = {} if config is None else predictions(found.pack, facts, config)
    for metric, aim in case.expected.predicts.items():
        value = said.get(found.pack.canonical(metric))
        if value is None or not abs(value - aim.value) <= aim.within:
            got = "nothing: no law speaks" if value is None else f"{value:.6g}"
            why = () if value is not None or config is None else why_unforeseen(found.pack, facts, config, metric)
            yield Miss(about=f"predicts {metric}", expected=_aim(aim), got=got, notes=(*faults, *why))


def changed_config(pack: Pack, config: Config | None, proposal: Proposal) -> tuple[Config | None, tuple[str, ...]]:
    """What edits and guardrails make of a config, and what the guardrails have against it. None where the edits do
    not apply, or there is no config."""
    if config is None:
        return None, ("the run has no config",)
    try:
        edits = [Edit.from_change(key, value) for key, value in proposal.changes.items()]
        checked = check(config, edits, pack.guardrails, clamp=True)
    except MisuseError as error:
        return None, tuple(fault.render() for fault in error.faults)
    return checked.config, (*checked.notes, *(fault.render() for fault in checked.faults))


def _is_same(wanted: Json, got: Json) -> bool:
    numbers = [one for one in (wanted, got) if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) == 2:
        return math.isclose(numbers[0], numbers[1], rel_tol=_SAME, abs_tol=0.0)
    return type(wanted) is type(got) and wanted == got


def _json(value: Json) -> str:
    return json.dumps(value)


def _changes(proposal: Proposal) -> str:
    return ", ".join(f"{key} = {_json(value)}" for key, value in proposal.changes.items())


def _aim(aim: Aim) -> str:
    return f"{aim.value:.6g} ± {aim.within:.2g}"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names)) or "none"
