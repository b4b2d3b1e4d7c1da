"""Which of the proposals that wait for a slot is next. It is worked out ahead, while every slot is busy."""

from collections.abc import Iterator
from contextlib import suppress

from auto_loop.domain.cell import Cell, cells_of
from auto_loop.domain.config import Config
from auto_loop.domain.edit_text import parse_edits
from auto_loop.domain.edits import apply
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import Job, JobId
from auto_loop.domain.proposal import Verdict
from auto_loop.loop import waiting
from auto_loop.loop.families import family_of, root_of
from auto_loop.loop.journal import Journal
from auto_loop.loop.parts import Parts
from auto_loop.loop.rounds import places
from auto_loop.loop.standing import standing_of
from auto_loop.loop.waiting import Contender, best_of, full_text, parent_of, room_in, turn_away
from auto_loop.proposers.rulebook import rank
from auto_loop.proposers.spread import Seat, moves_of

_AHEAD = 4  # several slots may be freed at once, but what comes after them is decided anew by then


class Choice:
    """The order in which the waiting proposals of a loop are taken.

    All that it remembers can be asked of the ledger again, and is, when a transaction came to nothing.
    """

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self._ranks: dict[JobId, float] = {}
        self._is_durable = True
        self._written: int | None = None
        self.forget()

    def forget(self) -> None:
        """Ask the ledger again: somebody else has settled what waited."""
        self._contenders: dict[int, Contender] = {}
        self._known = 0  # the number of the newest proposal that was read
        self._taken: dict[int, list[Seat]] = {}  # by round
        self._next: list[Contender] = []
        self._is_ordered = False

    def learn(self, parent: JobId, its_rank: float) -> None:
        """A cell was decided: how well it did, and that something else may wait now."""
        self._ranks[parent] = its_rank
        self._is_ordered = False

    def committed(self) -> None:
        """What was read and taken in the transaction is durable."""
        self._is_durable = True

    def prepare(self) -> None:
        """Work out what is next, and write the first one's config: a freed slot then waits for neither."""
        self._check()
        if not self._is_ordered:
            self._order()
        if not self._next or self._next[0].record.id == self._written:
            return
        first = self._next[0].record
        self._written = first.id
        with suppress(AutoLoopError, OSError):  # it is written again, and its failure said, when it is taken
            parent = parent_of(self._parts, first)
            config = self._config(first, parent)
            self._parts.workshop.write_variant(parent.cfg_file, parent.config, first.edits, config)

    def take_best(self) -> bool:
        """Take the best that waits, or say why it cannot be; False when nothing is left to be taken.

        Call it inside a transaction.
        """
        self._check()
        self._is_durable = False
        if not self._is_ordered or not self._next:
            self._order()
        while self._next:
            best = self._next.pop(0)
            number = best.record.round + 1
            if room_in(self._parts, number):
                break
            self._turn_away_from(number)  # a fork has taken the last place
        else:
            return bool(self._turn_away_from_full())
        self._contenders.pop(best.record.id or 0, None)
        if waiting.take(self._parts, self._journal, best.record):
            self._taken[number].append(best.seat)
        if not room_in(self._parts, number):
            self._turn_away_from(number)
        return True

    def _check(self) -> None:
        """What was taken in a transaction that came to nothing waits again."""
        if not self._is_durable:
            self.forget()
            self._is_durable = True

    def _turn_away_from_full(self) -> int:
        """Turn away what waits for rounds without a place; how much that was."""
        numbers = {one.record.round + 1 for one in self._contenders.values()}
        return sum(self._turn_away_from(number) for number in numbers if not room_in(self._parts, number))

    def _turn_away_from(self, number: int) -> int:
        gone = [one for one in self._contenders.values() if one.record.round + 1 == number]
        for one in gone:
            text = full_text(self._parts, number)
            turn_away(self._parts, self._journal, one.record, Verdict.NO_PLACE, (text,))
            del self._contenders[one.record.id or 0]
        self._next = [one for one in self._next if one.record.round + 1 != number]
        return len(gone)

    def _order(self) -> None:
        """The next few in their order, as if nothing else came between."""
        self._read()
        self._is_ordered, self._next = True, []
        left = list(self._contenders.values())
        numbers = {one.record.round + 1 for one in left}
        for number in numbers - self._taken.keys():
            self._taken[number] = list(self._seats(number))
        taken = {number: list(self._taken[number]) for number in numbers}
        most = places(self._parts)
        while len(self._next) < min(_AHEAD, len(self._parts.slots)):
            left = [one for one in left if len(taken[one.record.round + 1]) < most]
            if not left:
                break
            best = best_of(left, taken)
            left.remove(best)
            self._next.append(best)
            taken[best.record.round + 1].append(best.seat)

    def _read(self) -> None:
        """What has come to wait since the last time."""
        found = self._parts.ledger.reading.decisions.waiting(self._parts.loop, self._known)
        parents = {one.parent: parent_of(self._parts, one) for one in found}
        ranks = {parent: self._rank(job) for parent, job in parents.items()}
        self._ranks.clear()
        for one in found:
            self._known = one.id or 0
            seat = self._seat_of(one, parents[one.parent])
            self._contenders[self._known] = Contender(record=one, rank=ranks[one.parent], seat=seat)

    def _seat_of(self, one: ProposalRecord, parent: Job) -> Seat:
        config = self._config(one, parent)
        return Seat(
            parent=parent.id,
            group=one.proposal.group,
            priority=one.proposal.priority,
            config=config.fingerprint,
            moves=moves_of(parent.config, config),
        )

    def _config(self, one: ProposalRecord, parent: Job) -> Config:
        return apply(parent.config, parse_edits(one.edits), self._parts.types)

    def _seats(self, number: int) -> Iterator[Seat]:
        """What was taken in round `number`, forks among it."""
        reading = self._parts.ledger.reading
        for one in reading.firsts_of_round(self._parts.loop, number):
            before, after = (reading.config(text) for text in (one.parent_config or one.config, one.config))
            yield Seat(
                parent=one.parent or JobId(0),
                group=one.purpose,
                priority=0,
                config=one.config,
                moves=moves_of(before, after),
            )

    def _rank(self, parent: Job) -> float:
        """How well a parent's cell did; smaller is better."""
        if parent.id in self._ranks:
            return self._ranks[parent.id]
        cells = cells_of(family_of(self._parts, root_of(self._parts, parent)))
        cell = next((one for one in cells if one.lead.id == parent.id), Cell(lead=parent))
        return rank(self._parts.pack, standing_of(self._parts, [cell], {}).pooled(self._parts, cell))
