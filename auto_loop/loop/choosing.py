"""Which of the proposals that wait for a slot is next. It is worked out ahead, while every slot is busy."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from auto_loop.domain.cell import Cell, cells_of
from auto_loop.domain.config import Config
from auto_loop.domain.edit_text import parse_edits
from auto_loop.domain.edits import apply
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job, JobId
from auto_loop.ledger.reading import First
from auto_loop.loop import waiting
from auto_loop.loop.families import family_of, root_of
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.standing import standing_of
from auto_loop.loop.waiting import Contender, best_of, parent_of, room_in, with_places
from auto_loop.proposers.rulebook import rank
from auto_loop.proposers.spread import Moves, Seat, moves_of


class Choice:
    """The order in which the waiting proposals of a loop are taken.

    All that it remembers can be asked of the ledger again; `_next` is None while it has to be.
    """

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self._ranks: dict[JobId, float] = {}
        self._moves: dict[tuple[str, str], Moves] = {}
        self._next: list[ProposalRecord] | None = None
        self._written: int | None = None
        self._is_durable = True

    def learn(self, parent: JobId, its_rank: float) -> None:
        """A cell was decided: how well it did, and that something else may wait now."""
        self._ranks[parent] = its_rank
        self._next = None

    def committed(self) -> None:
        """What was taken is durable."""
        self._is_durable = True

    def prepare(self) -> None:
        """Work out what is next, and write the first one's config: a freed slot then waits for neither."""
        self._check()
        if self._next is None:
            reading = self._parts.ledger.reading.decisions
            self._next = self._ordered(reading.waiting(self._parts.loop))
        if not self._next or self._next[0].id == self._written:
            return
        first = self._next[0]
        self._written = first.id
        with suppress(AutoLoopError, OSError):  # it is written again, and its failure said, when it is taken
            parent = parent_of(self._parts, first)
            self._parts.workshop.write_variant(parent.cfg_file, parent.config, first.edits, self._config(first, parent))

    def take_best(self) -> bool:
        """Take the best that waits, or say why it cannot be; False when nothing is left to be taken.

        Call it inside a transaction.
        """
        self._check()
        if not self._next or not room_in(self._parts, self._next[0].round + 1):
            self._next = self._ordered(with_places(self._parts, self._journal))
        if not self._next:
            return False
        self._is_durable = False
        waiting.take(self._parts, self._journal, self._next.pop(0))
        return True

    def _check(self) -> None:
        """What was taken in a transaction that came to nothing waits again."""
        if not self._is_durable:
            self._next, self._is_durable = None, True

    def _ordered(self, found: Sequence[ProposalRecord]) -> list[ProposalRecord]:
        """The next ones in their order, as many as there are slots, as if nothing else came between."""
        numbers = {one.round + 1 for one in found}
        rooms = Counter({number: room_in(self._parts, number) for number in numbers})
        taken = {number: list(self._seats(number)) for number in numbers}
        parents = {one.parent: parent_of(self._parts, one) for one in found}
        self._ranks = {parent: self._rank(job) for parent, job in parents.items()}
        left = [self._contender(one, parents[one.parent]) for one in found]
        order: list[ProposalRecord] = []
        while len(order) < len(self._parts.slots):
            left = [one for one in left if rooms[one.record.round + 1]]
            if not left:
                break
            best = best_of(left, taken)
            left.remove(best)
            order.append(best.record)
            rooms[best.record.round + 1] -= 1
            taken[best.record.round + 1].append(best.seat)
        return order

    def _contender(self, one: ProposalRecord, parent: Job) -> Contender:
        config = self._config(one, parent)
        seat = Seat(
            parent=parent.id,
            group=one.proposal.group,
            priority=one.proposal.priority,
            config=config.fingerprint,
            moves=self._moved(parent.config, config),
        )
        return Contender(record=one, rank=self._ranks[parent.id], seat=seat)

    def _config(self, one: ProposalRecord, parent: Job) -> Config:
        return apply(parent.config, parse_edits(one.edits), self._parts.types)

    def _moved(self, before: Config, after: Config) -> Moves:
        key = (before.fingerprint, after.fingerprint)
        if key not in self._moves:
            self._moves[key] = moves_of(before, after)
        return self._moves[key]

    def _seats(self, number: int) -> tuple[Seat, ...]:
        """What was taken in round `number`, forks among it."""
        firsts = self._parts.ledger.reading.firsts_of_round(self._parts.loop, number)
        return tuple(self._seat(one) for one in firsts)

    def _seat(self, one: First) -> Seat:
        key = (one.parent_config or one.config, one.config)
        if key not in self._moves:
            self._moves[key] = moves_of(*map(self._parts.ledger.reading.config, key))
        return Seat(
            parent=one.parent or JobId(0), group=one.purpose, priority=0, config=one.config, moves=self._moves[key]
        )

    def _rank(self, parent: Job) -> float:
        """How well a parent's cell did; smaller is better."""
        if parent.id in self._ranks:
            return self._ranks[parent.id]
        cells = cells_of(family_of(self._parts, root_of(self._parts, parent)))
        cell = next((one for one in cells if one.lead.id == parent.id), Cell(lead=parent))
        return rank(self._parts.pack, standing_of(self._parts, [cell], {}).pooled(self._parts, cell))
