"""Writes the golden ledger of today's schema version: `python -m tests.golden.ledger.make`.

Once for each version, when the version is new: an existing golden file is never written again, for it stands for
the ledgers that people have.
"""

import dataclasses
import json
import sys
from pathlib import Path

from auto_loop.domain.config import Json
from auto_loop.domain.decision import Decision, DecisionKind, ParentSeen, RulesAsked
from auto_loop.domain.failure import Failure
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import JobId, Origin, Outcome, StopCause
from auto_loop.domain.proposal import Proposal, Silence, Verdict
from auto_loop.domain.slot import SlotState
from auto_loop.domain.study import Supervisor
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.queries import migration_texts
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from tests.ledger.make import (
    LOOP,
    STUDY,
    ending,
    event,
    new_attempt,
    new_job,
    open_study,
    run_attempt,
    slot_state,
    stop_intent,
    summary,
    supervisor,
)

FOLDER = Path(__file__).parent
FINGERPRINT = "f" * 64


def fill(ledger: Ledger) -> None:
    """A little of everything that a ledger can hold."""
    base = ledger.add_job(new_job("base"))
    failed, lost, cancelled = (ledger.add_job(new_job(name)) for name in ("failed", "lost", "cancelled"))
    ledger.finish_attempt(run_attempt(ledger, base, slot=0), ending(), summary("base"))
    out_of_memory = ending(Outcome.FAILED, failure=Failure.OUT_OF_MEMORY)
    ledger.finish_attempt(run_attempt(ledger, failed, slot=1), out_of_memory, summary("failed", metrics=0))
    ledger.finish_attempt(ledger.start_attempt(new_attempt(lost, slot=0)), ending(Outcome.LOST, failure=Failure.LOST))
    ledger.requeue(lost, not_before=1_700_002_000.5)
    stopped = run_attempt(ledger, lost, slot=2)
    ledger.ask_to_stop(stopped, stop_intent())
    ledger.stop_sent([stopped])
    ledger.finish_attempt(stopped, ending(Outcome.STOPPED))
    ledger.cancel_job(cancelled, "the loop was stopped")
    origin = Origin(
        parent=base,
        parent_cfg="train_configs/base.json",
        proposer="rules",
        rule="mass_dead",
        reason="ot_pi_sum 1e-21 < 1e-6: “dead”",
        changes=("ot.reg@mul=4", "ot.tau_src@set=2.0"),
        notes=("ot.reg clamped to 0.4",),
    )
    proposal = Proposal(
        changes={"ot.reg@mul": 4, "ot.tau_src@set": 2.0, "ot.label": None},
        reason=origin.reason,
        rule="mass_dead",
        priority=10,
        group="mass",
        evidence={"ot_pi_sum": 1e-21},
    )
    with ledger.transaction():
        child = ledger.add_job(new_job("base_h2jr9c", round=2, origin=origin))
        decision = ledger.decisions.record(decided(base, ledger.decisions.keep_rulebook({"pack": "mine"})))
        record = ProposalRecord(
            loop=LOOP,
            round=1,
            parent=base,
            proposal=proposal,
            verdict=Verdict.ACCEPTED,
            predictions={"train/ot_log_pi_sum": -4.6},
            decision=decision,
        )
        ledger.record_proposal(dataclasses.replace(record, edits=origin.changes, child=child))
        ledger.decisions.improved(child, improved=True)
        ledger.record_proposal(dataclasses.replace(record, verdict=Verdict.WAITING, edits=("ot.reg@mul=4",)))
        ledger.record_proposal(dataclasses.replace(record, verdict=Verdict.REFUSED, reasons=("off the list", "twice")))
        ledger.record_proposal(dataclasses.replace(record, verdict=Verdict.NO_PLACE, reasons=("no place",)))
        silence = Silence(parent=failed, cause="no readable history", detail="looked for metrics.jsonl")
        ledger.record_silence(SilenceRecord(loop=LOOP, round=1, silence=silence))
        ledger.record_event(event("round decided"))
    running = run_attempt(ledger, child, slot=3)
    ledger.ask_to_stop(running, stop_intent(StopCause.STALL, "no sign of life for 900 s"))
    fork = dataclasses.replace(new_job("starting", round=2), warm_from=base, ahead=True)
    ledger.start_attempt(new_attempt(ledger.add_job(fork), slot=1))
    ledger.add_job(new_job("queued", round=2))
    ledger.record_event(event("job started", child))
    ledger.requests.answer(ledger.requests.add(STUDY, "stop", {"job": 2}), "stopped")
    ledger.requests.add(STUDY, "propose", {"changes": {"ot.reg@mul": 2}})
    ledger.remember_origin(FINGERPRINT, origin)
    ledger.ensure_study("another", "default", "script")
    ledger.open_loop("another", LOOP + 60, {})
    ledger.close_loop("another", LOOP + 60, "rounds done")
    for study in (STUDY, "another"):
        ledger.record_supervisor(supervisor(study))
    ledger.supervisor_left("another")
    cpu = SlotState(index=4, place="CPU, 2 threads", cause="nothing is queued")
    ledger.record_slots(LOOP, [slot_state(1), slot_state(3), slot_state(2, "another program holds it"), cpu], anew=True)


def decided(base: JobId, rulebook: str) -> Decision:
    """A decision after round 1, with every field filled."""
    seen = ParentSeen(
        job=base,
        repeats=(base,),
        readings={"last train/ot_pi_sum": 1e-21, "slope train/loss": None},
        diagnoses=(("cost above s", "the cost 447 against s = 2.3"),),
        unknown={"loss rising": ('pct("loss")',)},
    )
    asked = RulesAsked(
        event="round 1 is over",
        parents=(seen,),
        room=4,
        per_parent=2,
        shift={"mass_dead": 3},
        hits=(FINGERPRINT,),
        refused_by_trainer=((base, "mass_dead"),),
    )
    return Decision(
        loop=LOOP, round=1, kind=DecisionKind.ROUND, at=1_700_001_000.0, detail=asked.to_json(), rulebook=rulebook
    )


def content(file: Path) -> Json:
    """All that a ledger says, as plain JSON."""
    reading, requests = Reading.open(file), Requests.connect(file, float)
    said = {
        "histories": [dataclasses.asdict(reading.history(study.name)) for study in reading.studies()],
        "snapshot": dataclasses.asdict(reading.snapshot(STUDY, LOOP, head=5)),
        "rounds": [dataclasses.asdict(state) for state in reading.rounds(STUDY, LOOP)],
        "events": [[number, dataclasses.asdict(each)] for number, each in reading.events(LOOP)],
        "requests": [dataclasses.asdict(each) for each in requests.open(STUDY)],
        "supervisors": [_plain(reading.supervisor(study.name)) for study in reading.studies()],
        "slots": [dataclasses.asdict(slot) for slot in reading.slots(LOOP)],
        "origin": dataclasses.asdict(reading.origin_of(FINGERPRINT) or Origin()),
        "waiting": [dataclasses.asdict(each) for each in reading.decisions.waiting(LOOP)],
        "launch": dict(reading.request_of(reading.history(STUDY).jobs[0].attempts[0].id)),
    }
    reading.close()
    requests.close()
    plain: Json = json.loads(json.dumps(said))
    return plain


def _plain(supervisor: Supervisor | None) -> Json:
    return None if supervisor is None else dataclasses.asdict(supervisor)


def main() -> int:
    """Write the golden file of today's version, or say why not."""
    file = FOLDER / f"v{max(migration_texts())}.sqlite3"
    if file.exists():
        print(f"{file.name} is there; golden files are never written again")
        return 1
    ledger = open_study(file)
    fill(ledger)
    raw = ledger.reading._db._raw
    for statement in ("PRAGMA journal_mode = delete", "PRAGMA page_size = 512", "VACUUM"):
        raw.execute(statement)
    ledger.close()
    said = json.dumps(content(file), indent=1, ensure_ascii=False)
    raw = Ledger.open(file, float).reading._db._raw
    raw.execute("PRAGMA journal_mode = delete")
    raw.close()
    file.with_suffix(".json").write_text(said + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
