"""A rule's track record: what became of its proposals, and what that says of its next ones. Pure."""

from dataclasses import dataclass
from fractions import Fraction

from auto_loop.domain.noise import interval_of_share

# What a record may add to a priority or take from it, of the hundred that packs use: enough to turn round two rules
# that their author put side by side, too little to let trying beside what works go before reviving a dead run.
LARGEST_SHIFT = 10
# So many measured children without one improvement are worth a word. After three the chance that a rule which helps
# every second time shows none is 1/8; with fewer it would be said of almost every new rule.
ENOUGH_MEASURED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """How often a rule fired, and how many of its proposals were accepted, their children measured, and found better.

    A child is *measured* when it ran to an end that can be held against its parent, and has *improved* when that was
    found better with an interval.
    """

    rule: str
    fired: int = 0
    accepted: int = 0
    measured: int = 0
    improved: int = 0

    @property
    def share(self) -> float | None:
        """The share of measured children that were better; None while none was measured."""
        return self.improved / self.measured if self.measured else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of that share, at the level of track records; None while none was measured."""
        return interval_of_share(self.improved, self.measured) if self.measured else None


def shift(record: TrackRecord) -> int:
    """What the record adds to the priority of the rule's next proposals, in [-10, 10].

    The share is taken with one improvement and one failure added to it (Laplace's rule of succession): the estimate of
    a rule that nobody has measured is one half, so it is not moved; and no record moves a rule by all of the ten.
    """
    estimate = Fraction(record.improved + 1, record.measured + 2)
    return round(2 * LARGEST_SHIFT * (estimate - Fraction(1, 2)))


def never_helps(record: TrackRecord) -> bool:
    """Whether the rule is to be named: it was measured often enough, and nothing of it was ever better."""
    return record.measured >= ENOUGH_MEASURED and record.improved == 0
