"""Rows of what was decided to domain values: decisions, proposals, silences."""

import json
from sqlite3 import Row

from auto_loop.domain.decision import Decision, DecisionId, DecisionKind
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Proposal, Silence, Verdict
from auto_loop.ledger.failures import sound
from auto_loop.ledger.rows import mapping_of, texts_of


@sound
def decision_of(row: Row) -> Decision:
    """A row of `decision`."""
    return Decision(
        id=DecisionId(row["id"]),
        loop=row["loop"],
        round=row["round"],
        kind=DecisionKind(row["kind"]),
        at=row["at"],
        detail=mapping_of(row["detail"]),
        rulebook=row["rulebook"] or "",
    )


@sound
def proposal_of(row: Row) -> ProposalRecord:
    """A row of `proposal`."""
    child = row["child"]
    return ProposalRecord(
        loop=row["loop"],
        round=row["round"],
        parent=JobId(row["parent"]),
        proposal=Proposal(
            changes=mapping_of(row["changes"]),
            reason=row["reason"],
            rule=row["rule"],
            proposer=row["proposer"],
            priority=row["priority"],
            group=row["purpose"],
            evidence=mapping_of(row["evidence"]),
        ),
        verdict=Verdict(row["verdict"]),
        edits=texts_of(row["edits"]),
        reasons=texts_of(row["reasons"]),
        child=None if child is None else JobId(child),
        predictions=_figures(row["predictions"]),
        decision=None if row["decision"] is None else DecisionId(row["decision"]),
        improved=None if row["improved"] is None else bool(row["improved"]),
        id=row["id"],
    )


@sound
def silence_of(row: Row) -> SilenceRecord:
    """A row of `silence`."""
    silence = Silence(parent=JobId(row["parent"]), cause=row["cause"], detail=row["detail"])
    return SilenceRecord(loop=row["loop"], round=row["round"], silence=silence)


def _figures(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in json.loads(text).items()}
