"""Decisions in the ledger: what was asked of the rules and seen, proposals that wait, and rules' track records."""

import json
from collections.abc import Mapping
from hashlib import sha256

from auto_loop.domain.config import Json
from auto_loop.domain.decision import Decision, DecisionId, DecisionKind
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Verdict
from auto_loop.domain.track_record import TrackRecord
from auto_loop.ledger.connection import Connection
from auto_loop.ledger.decision_rows import decision_of, proposal_of
from auto_loop.ledger.rows import mapping_of, text_of


class DecisionReading:
    """What is kept of a study's decisions."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def of_study(self, study: str) -> tuple[Decision, ...]:
        """All of them, oldest first."""
        return tuple(decision_of(row) for row in self._db.rows("decisions_of_study", study=study))

    def of_kind(self, study: str, kind: DecisionKind) -> tuple[Decision, ...]:
        """Those of one kind, oldest first."""
        return tuple(decision_of(row) for row in self._db.rows("decisions_of_kind", study=study, kind=kind))

    def waiting(self, loop: int, after: int = 0) -> tuple[ProposalRecord, ...]:
        """The loop's proposals that wait for a slot or a person, in the order in which they came, from those numbered
        above `after`."""
        return tuple(proposal_of(row) for row in self._db.rows("waiting_proposals", loop=loop, after=after))

    def track_records(self, study: str) -> tuple[TrackRecord, ...]:
        """What became of each rule's proposals, over all of the study's loops."""
        return tuple(
            TrackRecord(
                rule=row["rule"],
                fired=row["fired"],
                accepted=row["accepted"],
                measured=row["measured"],
                improved=row["improved"],
            )
            for row in self._db.rows("track_records", study=study)
        )

    def rulebook(self, fingerprint: str) -> Mapping[str, Json]:
        """What a decision was made by. RefusedError when the ledger has none of that fingerprint."""
        row = self._db.row("rulebook", fingerprint=fingerprint)
        if row is None:
            raise RefusedError(f"there is no rulebook {fingerprint} in {self._db.file}")
        return mapping_of(row["text"])


class Decisions(DecisionReading):
    """Decisions, written as well."""

    def keep_rulebook(self, content: Mapping[str, Json]) -> str:
        """Keep what decisions are made by, once; its fingerprint."""
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        fingerprint = sha256(text.encode()).hexdigest()
        with self._db.transaction():
            self._db.run("add_rulebook", fingerprint=fingerprint, text=text)
        return fingerprint

    def record(self, decision: Decision) -> DecisionId:
        """Keep a decision. One of a round closes that round: the loop goes on with the next."""
        with self._db.transaction():
            row = self._db.row(
                "record_decision",
                loop=decision.loop,
                round=decision.round,
                kind=decision.kind,
                at=decision.at,
                rulebook=decision.rulebook or None,
                detail=text_of(dict(decision.detail)),
            )
        assert row is not None
        return DecisionId(row["id"])

    def settle(self, proposal: int, verdict: Verdict, *, child: JobId | None = None, record: ProposalRecord) -> None:
        """What became of a proposal that waited, with the edits and reasons of `record`. RefusedError if none waits."""
        with self._db.transaction():
            changed = self._db.run(
                "settle_proposal",
                proposal=proposal,
                verdict=verdict,
                child=child,
                edits=text_of(record.edits),
                reasons=text_of(record.reasons),
            )
            if not changed:
                raise RefusedError(f"proposal {proposal} does not wait any more")

    def improved(self, child: JobId, improved: bool) -> None:
        """Keep whether the child of a proposal was measured to be better than its parent."""
        with self._db.transaction():
            self._db.run("record_improved", child=child, improved=int(improved))
