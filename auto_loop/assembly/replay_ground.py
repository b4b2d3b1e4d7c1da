"""What a study is derived from: all that its ledger has of it, read at once, and its decisions made again."""

import json
import multiprocessing
import os
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from auto_loop.assembly.deriving import Kept, derived, rules_or_why_not
from auto_loop.assembly.differences import NOT_THERE, Difference, first_difference, plain
from auto_loop.assembly.readings_seen import readings_differ
from auto_loop.assembly.replay_decisions import Compared, Rows, compared
from auto_loop.assembly.rulebooks import Rules
from auto_loop.domain.config import Config, FieldTypes, Json
from auto_loop.domain.decision import Decision, DecisionId, DecisionKind, RulesAsked, rules_asked
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.history import History, ProposalRecord
from auto_loop.domain.job import Job, JobId
from auto_loop.ledger.reading import Reading

BY_RULES = (DecisionKind.ROUND, DecisionKind.JOB, DecisionKind.FORK)
_LONG = 1000  # proposals: below, starting processes takes longer than they save


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A study's history; under which fingerprint each job's config and each rulebook is kept, and the rules in these.

    A text in the place of rules says why this program cannot read them. `own` are the rulebooks' fingerprints as they
    come out of what is kept; `types` what was known of the trainer's fields, by loop.
    """

    history: History
    fingerprints: Mapping[JobId, str]
    jobs: Mapping[JobId, Job]
    rules: Mapping[str, Rules | str]
    own: Mapping[str, str]
    types: Mapping[int, FieldTypes]


def gathered(reading: Reading, study: str) -> Ground:
    """All that is needed of the ledger; it may be closed then. RefusedError when it has no study of that name."""
    history = reading.history(study)
    rules: dict[str, Rules | str] = {}
    own: dict[str, str] = {}
    for name in dict.fromkeys(one.rulebook for one in history.decisions if one.kind in BY_RULES):
        try:
            kept = reading.decisions.rulebook(name)
        except AutoLoopError as error:
            rules[name], own[name] = str(error).splitlines()[0], f"unreadable ({str(error).splitlines()[0]})"
            continue
        text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        own[name] = sha256(text.encode(errors="surrogatepass")).hexdigest()
        rules[name] = rules_or_why_not(kept)
    return Ground(
        history=history,
        fingerprints=reading.config_fingerprints(study),
        jobs={job.id: job for job in history.jobs},
        rules=rules,
        own=own,
        types=_types(history.decisions, rules),
    )


def _types(decisions: Sequence[Decision], rules: Mapping[str, Rules | str]) -> dict[int, FieldTypes]:
    known = ((one.loop, rules.get(one.rulebook)) for one in decisions)
    return {loop: found.types for loop, found in known if isinstance(found, Rules)}


def kept_otherwise(ground: Ground) -> Iterator[Difference]:
    """Rulebooks and configs that are not what they were kept as: a changed byte shows."""
    for name, own in ground.own.items():
        if own != name:
            what = "rulebook: it is not what was kept under its fingerprint"
            kept = own if " " in own else f"fingerprint {own[:12]}"
            yield Difference(what=what, kept=kept, derived=f"fingerprint {name[:12]}")
    sound: dict[str, str] = {}
    for job in ground.history.jobs:
        fingerprint = ground.fingerprints.get(job.id, "")
        if job.config.text not in sound:
            sound[job.config.text] = _fault_of(job.config, fingerprint)
        if fault := sound[job.config.text]:
            what = "kept config: it is not what was kept under its fingerprint"
            yield Difference(what=what, kept=fault, derived=f"fingerprint {fingerprint[:12]}", job=job.id)


def _fault_of(config: Config, fingerprint: str) -> str:
    try:
        if config.fingerprint != fingerprint:
            return f"fingerprint {config.fingerprint[:12]}"
        return "" if Config.of(config.data()).text == config.text else "not written as configs are kept"
    except ValueError as error:
        return f"no JSON ({error})"


def rows_of(ground: Ground) -> tuple[Rows, ...]:
    """The rows of each decision of the rules, oldest first."""
    proposals: defaultdict[DecisionId | None, list[ProposalRecord]] = defaultdict(list)
    for row in ground.history.proposals:
        proposals[row.decision].append(row)
    silences = defaultdict(list)
    for one in ground.history.silences:
        silences[one.loop, one.round].append(one.silence)
    return tuple(
        Rows(
            decision=one,
            proposals=proposals[one.id],
            silences=silences[one.loop, one.round],
            last=_last(ground, one),
        )
        for one in ground.history.decisions
        if one.kind in BY_RULES
    )


def _last(ground: Ground, decision: Decision) -> str:
    """What a last round says of proposals without a place; empty for any other round."""
    rounds = next((loop.flags.get("rounds") for loop in ground.history.loops if loop.number == decision.loop), None)
    if decision.kind is not DecisionKind.ROUND or not isinstance(rounds, int) or decision.round < rounds:
        return ""
    return f"round {decision.round} was the last one (--rounds {rounds})"


def made_again(ground: Ground, rows: Sequence[Rows], workers: int) -> Iterator[Compared | str]:
    """Each decision made again, in order. A long study's are shared out among processes, which give way to training."""
    if workers < 2 or sum(len(one.proposals) for one in rows) < _LONG:
        yield from (one_again(ground, one) for one in rows)
        return
    with multiprocessing.get_context("fork").Pool(workers, _begin, (ground, rows)) as pool:
        yield from pool.imap(_numbered, range(len(rows)), chunksize=max(1, len(rows) // (8 * workers)))


_shared: list[tuple[Ground, Sequence[Rows]]] = []  # what a forked worker has of its parent; nobody else's is set


def _begin(ground: Ground, rows: Sequence[Rows]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer: it ends its workers
    os.nice(10)
    _shared.append((ground, rows))


def _numbered(number: int) -> Compared | str:
    ground, rows = _shared[-1]
    return one_again(ground, rows[number])


def _odd(asked: RulesAsked, decision: Decision) -> Iterator[Difference]:
    """Where the decision is not written as decisions are: what was not understood would be passed over."""
    if differing := first_difference(plain(dict(decision.detail)), asked.to_json()):
        place, kept, again = differing
        yield Difference(what="decision", place=place, kept=kept, derived=again, decision=decision.id)
    for seen in asked.parents:
        if decision.kind is not DecisionKind.FORK and seen.job not in seen.repeats:
            said: list[Json] = [*seen.repeats]
            yield Difference(what="runs seen", kept=said, derived=seen.job, parent=seen.job, decision=decision.id)


def one_again(ground: Ground, rows: Rows) -> Compared | str:
    """One decision made again and compared; a text says why it cannot be."""
    rules = ground.rules[rows.decision.rulebook]
    if isinstance(rules, str):
        return rules
    try:
        asked = rules_asked(rows.decision.detail)
        kept = Kept(kind=rows.decision.kind, asked=asked, rules=rules, jobs=ground.jobs)
        odd = _odd(asked, rows.decision)
        found = compared(kept, derived(kept), rows)
        is_fork = rows.decision.kind is DecisionKind.FORK  # its run went on, so that its summary says something else
        seen = () if is_fork else readings_differ(kept, ground.history.summaries, rows.decision)
        return Compared(differences=(*odd, *seen, *found.differences), configs=found.configs)
    except (AutoLoopError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A changed byte may make anything of what was kept.
        said = error.faults[0].render() if isinstance(error, AutoLoopError) else f"it cannot be read ({error})"
        broken = Difference(what="decision", kept=said, derived=NOT_THERE, decision=rows.decision.id)
        return Compared(differences=(broken,), broken=said)
