"""What a study has tried, by the fingerprints that the panel compares; each config is read and reduced once."""

from dataclasses import dataclass, field

from auto_loop.domain.fingerprint import fingerprint_of
from auto_loop.domain.paths import Path
from auto_loop.ledger.reading import Reading


@dataclass(slots=True, kw_only=True)
class Tried:
    """A memory of fingerprints: a study's configs are asked for again after every round, and their texts weigh."""

    reading: Reading
    ignore: tuple[Path, ...]
    _known: dict[str, str] = field(default_factory=dict)

    def fingerprints(self, study: str, loop: int) -> frozenset[str]:
        """Those of every config that the study has run or runs, and that this loop will."""
        tried = self.reading.tried(study, loop)
        for one in tried:
            if one not in self._known:
                self._known[one] = fingerprint_of(self.reading.config(one), self.ignore)
        return frozenset(self._known[one] for one in tried)
