"""One decision held against the rows that the ledger has of it: every verdict, reason, edit, prediction and config."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auto_loop.assembly.deriving import Derived, Kept, alone
from auto_loop.assembly.differences import NOT_THERE, Difference, config_difference, first_difference
from auto_loop.domain.config import Config, Json
from auto_loop.domain.decision import Decision, DecisionKind
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import REPEAT, Job, JobId
from auto_loop.domain.proposal import Accepted, Proposal, Refusal, Silence, Verdict
from auto_loop.proposers.rulebook import NO_RULE, REFUSED

Named = tuple[JobId, str]  # a proposal of a decision: a rule proposes at most once for each parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What the ledger has of a decision: its proposals and silences. `last` says, of a round after which no round
    came, what that made of proposals without a place."""

    decision: Decision
    proposals: Sequence[ProposalRecord]
    silences: Sequence[Silence] = ()
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The differences of a decision, and the configs that came of it again, by the job that each was made for.

    `broken` says why nothing came of it, where what was kept cannot be read.
    """

    differences: tuple[Difference, ...]
    configs: Mapping[JobId, Config] = field(default_factory=dict)
    broken: str = ""


def compared(kept: Kept, again: Derived, rows: Rows) -> Compared:
    """The decision as it was derived against the decision as it was written down."""
    verdicts = _verdicts(kept, again, rows)
    by_name = {_name(row.parent, row.proposal): row for row in rows.proposals}
    found: list[Difference] = [*_of_parents(kept, again, rows)]
    configs: dict[JobId, Config] = {}
    for name, verdict in verdicts.items():
        row = by_name.pop(name, None)
        if row is None:
            found.append(_whole(rows, name, kept=NOT_THERE, derived=_verdict(verdict)))
            continue
        found += _of_proposal(row, verdict, again.proposer, rows)
        if row.child is not None and isinstance(verdict, Accepted):
            configs[row.child] = verdict.config
            found += _of_child(row.child, verdict, again.proposer, kept.jobs, rows)
    found += [_whole(rows, name, kept=row.verdict.value, derived=NOT_THERE) for name, row in by_name.items()]
    if not found:
        found += _order(again, rows)
    return Compared(differences=tuple(found), configs=configs)


def _verdicts(kept: Kept, again: Derived, rows: Rows) -> dict[Named, Accepted | Refusal]:
    """Every verdict by its proposal, the accepted first. What a person or a free slot took later, beyond the places
    that there were, is judged by itself."""
    found: dict[Named, Accepted | Refusal] = {_name(one.parent, one.proposal): one for one in again.ruling.accepted}
    found |= {_name(one.parent, one.proposal): one for one in again.ruling.refused}
    said = {_name(row.parent, row.proposal): row for row in rows.proposals}
    for one in again.by_trainer:
        name = _name(one.parent.id, one.proposal)
        reasons = said[name].reasons if name in said else ()
        found[name] = Refusal(parent=name[0], proposal=one.proposal, verdict=Verdict.REFUSED, reasons=reasons)
    for one in again.candidates:
        name = _name(one.parent.id, one.proposal)
        verdict, row = found.get(name), said.get(name)
        late = isinstance(verdict, Refusal) and verdict.verdict is Verdict.NO_PLACE
        if late and row is not None and row.verdict in (Verdict.ACCEPTED, Verdict.WAITING):
            found[name] = alone(kept, one) or found[name]
    return found


def _of_parents(kept: Kept, again: Derived, rows: Rows) -> Iterator[Difference]:
    """Diagnoses, unknown rules and silences of each parent."""
    silences = {one.parent: one for one in (*again.silences, *again.ruling.silences)}
    said = {one.parent: one for one in rows.silences if one.cause in (NO_RULE, REFUSED)}
    for seen in kept.asked.parents:
        firing = again.firings.get(seen.job)
        if firing is None:
            continue
        diagnoses = [[one.name, one.text] for one in firing.diagnoses]
        yield from _held("diagnoses", [list(one) for one in seen.diagnoses], diagnoses, rows, parent=seen.job)
        unknown = {rule: list(gaps) for rule, gaps in firing.unknown.items()}
        yield from _held("rules that could not be judged", _listed(seen.unknown), unknown, rows, parent=seen.job)
        ours, theirs = said.get(seen.job), silences.get(seen.job)
        if not again.by_trainer:  # what the trainer said is in the reasons, and they are not asked again
            yield from _held("why it gave no next job", _silence(ours), _silence(theirs), rows, parent=seen.job)


def _silence(one: Silence | None) -> Json:
    return None if one is None else f"{one.cause}: {one.detail}"


def _listed(gaps: Mapping[str, Sequence[str]]) -> dict[str, Json]:
    return {rule: list(names) for rule, names in gaps.items()}


def _of_proposal(row: ProposalRecord, verdict: Accepted | Refusal, proposer: str, rows: Rows) -> Iterator[Difference]:
    """What was proposed, and what was said of it."""
    ours, theirs = row.proposal, verdict.proposal
    about = f"rule {theirs.rule!r}"
    where = {"job": row.child} if row.child is not None else {"parent": row.parent}
    for what, one, other in (
        ("changes", dict(ours.changes), dict(theirs.changes)),
        ("reason", ours.reason, theirs.reason),
        ("priority", ours.priority, theirs.priority),
        ("group", ours.group, theirs.group),
        ("evidence", dict(ours.evidence), dict(theirs.evidence)),
        ("proposer", ours.proposer, proposer),
    ):
        yield from _held(f"{what} of {about}", one, other, rows, **where)
    if _is_settled_later(row, verdict, rows):
        return
    yield from _held(f"verdict on {about}", _as_taken(row.verdict), _verdict(verdict), rows, **where)
    match verdict:
        case Accepted():
            yield from _held(f"edits of {about}", list(row.edits), list(verdict.edits), rows, **where)
            said = row.reasons[: len(verdict.notes)] if row.verdict is Verdict.WAITING else row.reasons
            yield from _held(f"notes on {about}", list(said), list(verdict.notes), rows, **where)
            predicted = dict(verdict.predictions)
            yield from _held(f"predictions of {about}", dict(row.predictions), predicted, rows, **where)
        case Refusal(verdict=Verdict.NO_PLACE) if rows.decision.kind is DecisionKind.JOB:
            return  # where the places of its round went is no matter of this decision
        case Refusal():
            reasons = [rows.last] if rows.last and verdict.verdict is Verdict.NO_PLACE else list(verdict.reasons)
            yield from _held(f"reasons against {about}", list(row.reasons), reasons, rows, **where)


def _is_settled_later(row: ProposalRecord, verdict: Accepted | Refusal, rows: Rows) -> bool:
    """Whether something else than the panel spoke last: a person or a free slot of a proposal that waited, or a fork
    for which there was no place any more."""
    turned_down = row.verdict in (Verdict.REFUSED, Verdict.NO_PLACE) and isinstance(verdict, Accepted)
    return turned_down and (rows.decision.kind is not DecisionKind.ROUND or bool(row.edits))


def _of_child(
    child: JobId, accepted: Accepted, proposer: str, jobs: Mapping[JobId, Job], rows: Rows
) -> Iterator[Difference]:
    """The job that it became."""
    job = jobs.get(child)
    if job is None:
        yield _whole(rows, (accepted.parent, accepted.proposal.rule), kept=f"job {child}", derived=NOT_THERE)
        return
    differing = config_difference(job.config, accepted.config)
    if differing is not None:
        place, ours, theirs = differing
        yield Difference(what="config", place=place, kept=ours, derived=theirs, job=child, decision=rows.decision.id)
    origin = job.origin
    for what, one, other in (
        ("parent", origin.parent, accepted.parent),
        ("edits", list(origin.changes), list(accepted.edits)),
        ("notes", list(origin.notes), list(accepted.notes)),
        ("rule", origin.rule, accepted.proposal.rule),
        ("reason", origin.reason, accepted.proposal.reason),
        ("proposer", origin.proposer, REPEAT if accepted.repeat else proposer),
    ):
        yield from _held(what, one, other, rows, job=child)


def _order(again: Derived, rows: Rows) -> Iterator[Difference]:
    """Whether the accepted were chosen in the same order: so they were queued."""
    taken = [row for row in rows.proposals if row.verdict is Verdict.ACCEPTED]
    ours = [list(_name(row.parent, row.proposal)) for row in taken]
    theirs = [list(_name(one.parent, one.proposal)) for one in again.ruling.accepted]
    if rows.decision.kind is DecisionKind.ROUND and len(ours) == len(theirs):
        yield from _held("order of the accepted", [*ours], [*theirs], rows)


def _held(
    what: str, kept: object, derived: object, rows: Rows, *, job: JobId | None = None, parent: JobId | None = None
) -> Iterator[Difference]:
    differing = None if kept == derived and not isinstance(kept, dict | list) else first_difference(kept, derived)  # type: ignore[arg-type] # plain data, tuples aside
    if differing is not None:
        place, ours, theirs = differing
        yield Difference(
            what=what, place=place, kept=ours, derived=theirs, job=job, parent=parent, decision=rows.decision.id
        )


def _whole(rows: Rows, name: Named, *, kept: Json, derived: Json) -> Difference:
    what = f"proposal of rule {name[1]!r}"
    return Difference(what=what, kept=kept, derived=derived, parent=name[0], decision=rows.decision.id)


def _verdict(verdict: Accepted | Refusal) -> str:
    return Verdict.ACCEPTED.value if isinstance(verdict, Accepted) else verdict.verdict.value


def _as_taken(verdict: Verdict) -> str:
    """One that waits has passed the panel."""
    return Verdict.ACCEPTED.value if verdict is Verdict.WAITING else verdict.value


def _name(parent: JobId, proposal: Proposal) -> Named:
    return parent, proposal.rule
