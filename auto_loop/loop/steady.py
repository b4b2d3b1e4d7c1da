"""The steady state: no round waits for its last job. A cell that has ended is decided on its own, what the panel would
accept waits in the ledger, and a freed slot gets the best of it in the same turn.

A child of round r is of round r + 1 here too: `--rounds` is the largest depth, `--round-size` caps the configs of each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from auto_loop.domain.cell import Cell, cells_of
from auto_loop.domain.decision import DecisionKind
from auto_loop.domain.history import SilenceRecord
from auto_loop.domain.job import CONFIRMATION, FORK, REMEDY, Attempt, Job, JobId, Outcome
from auto_loop.domain.proposal import Verdict
from auto_loop.domain.snapshot import Snapshot
from auto_loop.domain.summary import Summary
from auto_loop.loop import confirming, deciding, waiting
from auto_loop.loop.choosing import Choice
from auto_loop.loop.deciding import Answer, Question
from auto_loop.loop.families import are_over, family_of, root_of
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.plan import due, free_slots
from auto_loop.loop.rounds import (
    FORKED,
    PERSON,
    REPLACED,
    Record,
    history_of,
    keep_improved,
    record,
    silence_of,
)
from auto_loop.loop.standing import Standing, base_cell, standing_of
from auto_loop.loop.waiting import full_text, room_in
from auto_loop.proposers.rulebook import rank

DECIDED = "job decided"  # the kind of an event
NOTHING_LEFT = "nothing runs, and no proposal waits any more"


class Steady:
    """The steady state of one loop. What it remembers is only what it would otherwise ask the ledger again."""

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self._decided: set[JobId] = set()
        self._is_behind = True  # an earlier supervisor may have read runs, and left before it asked about them
        self._choice = Choice(parts, journal)

    def decide(self, read: Iterable[JobId], summaries: Mapping[JobId, Summary]) -> None:
        """Ask the rules about each cell that is whole by now, `read` being the jobs whose runs were just read.

        Call it in the transaction that keeps their summaries: a restart finds both or neither, and decides once.
        """
        self._decided = set()
        confirms = False
        families: dict[JobId, tuple[Job, ...]] = {}
        for number in (*read, *self._left_behind()):
            job = self._parts.ledger.reading.job(number)
            if job is None or job.loop != self._parts.loop:
                continue
            root = root_of(self._parts, job)
            confirms |= root.origin.proposer == CONFIRMATION
            if root.origin.proposer != CONFIRMATION and root.id not in families:
                families[root.id] = family_of(self._parts, root)
        for family in families.values():
            if are_over(self._parts, family):
                self._decide_family(family, summaries)
        if confirms:
            self._confirm(summaries)

    def committed(self, summaries: dict[JobId, Summary]) -> None:
        """What was decided is durable: its series are not wanted any more."""
        for job in self._decided:
            summaries.pop(job, None)
        self._decided, self._is_behind = set(), False
        self._choice.committed()

    def reviewed(self) -> None:
        """A person has settled some of what waited."""
        self._choice.forget()

    def prepare(self) -> None:
        """While nothing else is to be done: make ready what is next, so that a freed slot does not wait for it."""
        self._choice.prepare()

    def fill(self, snapshot: Snapshot, adopted: Sequence[Attempt]) -> Snapshot:
        """Queue the best that waits for every free slot that nothing is queued for; the snapshot after that.

        Call it in the transaction of the turn, so that what is taken is launched in it.
        """
        parts = self._parts
        free = len(free_slots(parts.slots, [job.attempts[-1] for job in snapshot.active], adopted))
        while snapshot.waiting and free > self._ready(snapshot) and self._choice.take_best():
            snapshot = self._snapshot()
        return snapshot if snapshot.queued else self._snapshot()

    def _snapshot(self) -> Snapshot:
        return self._parts.ledger.reading.snapshot(self._parts.study, self._parts.loop, len(self._parts.slots) + 1)

    def over(self) -> str:
        """Why the loop, of which nothing runs or is queued, ends here; empty when it does not. Closes it.

        Call it inside a transaction. Whatever nobody was asked about yet is asked about first.
        """
        parts, reading = self._parts, self._parts.ledger.reading
        if reading.snapshot(parts.study, parts.loop, 0).waiting:
            return ""
        decided, self._is_behind = self._decided, True
        self.decide((), {})
        self._decided |= decided
        self._confirm({})
        snapshot = reading.snapshot(parts.study, parts.loop, 0)
        if snapshot.waiting or snapshot.queued:
            return ""
        rounds = parts.call.rounds
        reason = f"all {rounds} rounds are done" if snapshot.deepest >= rounds else NOTHING_LEFT
        parts.ledger.close_loop(parts.study, parts.loop, reason)
        return reason

    def _left_behind(self) -> list[JobId]:
        if not self._is_behind:
            return []
        return [job.id for job in self._parts.ledger.reading.not_asked_about(self._parts.loop)]

    def _ready(self, snapshot: Snapshot) -> int:
        """How many queued jobs may start at once."""
        training = {job.id for job in snapshot.active}
        now = self._parts.workshop.clock()
        return sum(job.warm_from not in training for job in due(snapshot.queue, now))

    def _decide_family(self, family: Sequence[Job], summaries: Mapping[JobId, Summary]) -> None:
        self._decided |= {job.id for job in family}
        for job in family:
            if job.origin.proposer == REMEDY and job.origin.parent is not None:
                self._silence(job, job.origin.parent, REPLACED, f"{job.name} took its place")
        for cell in cells_of(family):
            if cell.lead.outcome is not Outcome.CANCELLED:
                self._decide_cell(cell, summaries)

    def _silence(self, job: Job, about: JobId, cause: str, detail: str) -> None:
        silence = SilenceRecord(loop=self._parts.loop, round=job.round, silence=silence_of(about, cause, detail))
        self._parts.ledger.record_silence(silence)

    def _decide_cell(self, cell: Cell, summaries: Mapping[JobId, Summary]) -> None:
        parts, lead = self._parts, cell.lead
        stand = standing_of(parts, [cell], summaries)
        keep_improved(parts, stand, [cell])
        children = parts.ledger.reading.children_in_round(lead, lead.round + 1)
        forked = next((one for one in children if one.origin.proposer == FORK), None)
        if forked is not None:
            self._silence(lead, lead.id, FORKED, f"{forked.name} is its changed successor")
        else:
            self._ask(cell, stand)
        self._screen([cell], stand)

    def _ask(self, cell: Cell, stand: Standing) -> None:
        """Ask the rules about one cell; what the panel would accept waits."""
        parts, lead, call = self._parts, cell.lead, self._parts.call
        room = min(call.variants_per_run, room_in(parts, lead.round + 1))
        question = Question(
            event=f"job {lead.name} has ended",
            jobs=[lead],
            history=history_of(parts, stand, [cell]),
            room=room,
            repeats={lead.id: tuple(job.id for job in cell.jobs)},
        )
        answer = deciding.ask(parts, question)
        others = f"others of {lead.name} go first (--variants-per-run {room})"
        to = Record(
            round=lead.round,
            decision=deciding.keep(parts, DecisionKind.JOB, lead.round, answer.asked),
            jobs={lead.id: lead},
            no_place=full_text(parts, lead.round + 1) if room < call.variants_per_run else others,
            waits=PERSON if call.review else waiting.SLOT,
        )
        record(parts, answer, to)
        self._choice.learn(lead.id, rank(parts.pack, stand.pooled(parts, cell)))
        self._tell(lead, answer)

    def _tell(self, lead: Job, answer: Answer) -> None:
        ruling = answer.ruling
        self._journal.write(
            DECIDED,
            lead.id,
            {
                "job": lead.name,
                "round": lead.round,
                "waiting": len(ruling.accepted),
                "refused": sum(one.verdict is Verdict.REFUSED for one in ruling.refused),
                "no_place": sum(one.verdict is Verdict.NO_PLACE for one in ruling.refused),
                "silence": "; ".join(f"{one.cause}: {one.detail}" for one in answer.silences),
            },
        )

    def _screen(self, cells: Sequence[Cell], stand: Standing) -> None:
        """Have the most promising of the cells run on fresh seeds beside the base, unless another one is being so."""
        parts, base = self._parts, stand.base
        if base is None or confirming.open_screening(parts) is not None or not are_over(parts, base.jobs):
            return
        if any(cell.lead.id == base.lead.id for cell in cells):
            self._screen_all()
            return
        found = confirming.screened(parts, replace(stand, cells=tuple(cells)), base)
        if found is not None:
            queued = confirming.begin(parts, found.candidate.lead.round, found)
            self._say(confirming.promising_text(found, queued))

    def _screen_all(self) -> None:
        """Screen whatever was not screened yet: what has waited for the base, or for another's confirmation."""
        parts, reading = self._parts, self._parts.ledger.reading
        base = base_cell(parts)
        before = {one.seen.candidate for one in confirming.screenings(parts)} | ({base.lead.id} if base else set())
        deepest = reading.snapshot(parts.study, parts.loop, 0).deepest
        for number in range(1, deepest + 1):
            jobs = reading.jobs_of_round(parts.study, parts.loop, number)
            cells = [cell for cell in cells_of(jobs) if cell.lead.id not in before]
            whole = [cell for cell in cells if are_over(parts, cell.jobs)]
            if whole:
                self._screen(whole, standing_of(parts, whole, {}))

    def _confirm(self, summaries: Mapping[JobId, Summary]) -> None:
        """Judge the confirmation that is under way, once all its runs are over; then look for the next one."""
        parts = self._parts
        under_way = confirming.open_screening(parts)
        if under_way is None:
            return
        jobs = parts.ledger.reading.jobs_of_round(parts.study, parts.loop, under_way.round)
        runs = [job for job in jobs if root_of(self._parts, job).origin.proposer == CONFIRMATION]
        if not are_over(parts, runs):
            return
        cells = [cell for cell in cells_of(jobs) if cell.lead.id in (under_way.seen.candidate, under_way.seen.base)]
        seen = confirming.confirmed(parts, standing_of(parts, cells, summaries), under_way.seen)
        confirming.keep(parts, under_way.round, seen)
        self._decided |= {job.id for job in runs}
        self._say(confirming.confirmed_text(seen, parts.ledger.reading.job))
        self._screen_all()

    def _say(self, text: str) -> None:
        self._journal.write("said", None, {"text": text})
