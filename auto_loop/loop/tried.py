"""What a study has tried, by the fingerprints that the panel compares; each launch is read and reduced once."""

from dataclasses import dataclass, field, replace

from auto_loop.domain.config import Config
from auto_loop.domain.fingerprint import Launched, launched_fingerprint, places_told, under_seed
from auto_loop.domain.paths import Path
from auto_loop.ledger.reading import Launch, Reading


@dataclass(slots=True, kw_only=True)
class Tried:
    """A memory of fingerprints: a study's launches are asked for again after every round, and their texts weigh.

    `ignore` are the places that make no other experiment, those aside that the loop's own arguments set. `seed` is the
    place of the trainer's seed, None for a trainer that has none.
    """

    reading: Reading
    ignore: tuple[Path, ...]
    seed: Path | None = None
    _known: dict[tuple[int, Launch], tuple[str, ...]] = field(default_factory=dict)
    _loops: dict[int, Launched] = field(default_factory=dict)

    def fingerprints(self, study: str, loop: int) -> frozenset[str]:
        """Those of every experiment that the study has run or runs, in whichever loop, and that this loop will.

        What was launched as this loop launches goes by its config alone, so that the panel compares configs. Each
        fingerprint by itself, and under its seed as well: the first refuses a proposal, the second a repeat.
        """
        launches = self.reading.launches(study, loop)
        for one in launches:
            if (loop, one) not in self._known:
                self._known[loop, one] = self._prints(study, loop, one)
        return frozenset(found for one in launches for found in self._known[loop, one])

    def under_seed_of(self, study: str, loop: int, config: Config) -> frozenset[str]:
        """Those that ran under the very seed of a config: what is tried already for one of several repeats."""
        found = self.fingerprints(study, loop)
        if self.seed is None:
            return found
        mark = under_seed("", config, self.seed)
        return frozenset(one.removesuffix(mark) for one in found if one.endswith(mark))

    def _prints(self, study: str, loop: int, launch: Launch) -> tuple[str, ...]:
        config = self.reading.config(launch.config)
        launched = replace(self._launched(study, launch.loop), warm_from=str(launch.warm_from or ""))
        seen = launched.seen_from(self._launched(study, loop), self.ignore)
        told = () if seen.extra else places_told(launched.extra)
        found = launched_fingerprint(config, (*self.ignore, *told), seen)
        return (found,) if self.seed is None else (found, under_seed(found, config, self.seed))

    def _launched(self, study: str, loop: int) -> Launched:
        """What all jobs of the loop are launched with: by the flags that the ledger keeps, secrets masked."""
        if loop not in self._loops:
            found = self.reading.loop(study, loop)
            self._loops[loop] = Launched() if found is None else Launched.of_flags(found.flags)
        return self._loops[loop]
