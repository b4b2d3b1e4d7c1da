"""The loop's eye on what runs log: the newest values while a run goes on, its summary when it has ended."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from auto_loop.domain.job import Attempt, AttemptId, Job
from auto_loop.domain.stats import summarise
from auto_loop.domain.summary import Summary
from auto_loop.launch.command import beside
from auto_loop.loop.live import LiveRules
from auto_loop.loop.parts import Latest, Look
from auto_loop.readers import registry
from auto_loop.readers.base import Cursor, Point
from auto_loop.readers.url import find_wandb_url
from auto_loop.rules.model import Pack

# More than a screen of log is read for the run's URL: trainers print it early.
_URL_BYTES = 256 * 1024
# What a live rule's `log_matches` sees, like that of a rule.
_LOG_BYTES = 8 * 1024


@dataclass(slots=True)
class _Seen:
    """Where one run's history was found, how far it was read, and the newest point of each metric."""

    folder: Path | None = None
    cursor: Cursor | None = None
    step: int = 0
    points: int = 0
    values: dict[str, float] = field(default_factory=dict)
    rules: LiveRules | None = None
    attempt: AttemptId | None = None


class Watch:
    """Reads runs below `root` with the pack's names and directions for their metrics."""

    def __init__(self, root: Path, pack: Pack, log_end: Callable[[Path, int], str]) -> None:
        self._root = root
        self._pack = pack
        self._log_end = log_end
        self._seen: dict[str, _Seen] = {}

    def look(self, job: Job, attempt: Attempt) -> Look:
        """How far the attempt is, and what the pack's live rules say of it; costs what is new.

        Rules judge the whole of a run's history: a second attempt that goes on in the folder of the first included.
        """
        seen = self._seen.get(attempt.output_dir)
        if seen is None or seen.attempt != attempt.id:
            seen = self._seen[attempt.output_dir] = _Seen(attempt=attempt.id, rules=self._rules(job, attempt))
        if seen.rules is None:
            return Look(latest=self.latest(attempt.output_dir))
        if seen.rules.behind:
            seen.rules.feed(())
            latest = _latest(seen)
        else:
            latest = self.latest(attempt.output_dir)
        return Look(latest=latest, verdict=seen.rules.verdict, warnings=seen.rules.warnings)

    def _rules(self, job: Job, attempt: Attempt) -> LiveRules | None:
        log = Path(attempt.log_file)
        config = job.config.data()
        return LiveRules(self._pack, config, lambda: self._log_end(log, _LOG_BYTES)) if self._pack.stops else None

    def latest(self, output_dir: str) -> Latest:
        """The last step and the newest value of each metric, under the pack's names; costs what is new."""
        seen = self._seen.setdefault(output_dir, _Seen())
        points: list[Point] = []
        for folder in self._folders(output_dir) if seen.folder is None else (seen.folder,):
            points, seen.cursor = registry.tail_run(folder, seen.cursor)
            if seen.cursor is not None:
                seen.folder = folder
                break
        for point in points:
            seen.step = max(seen.step, point.step)
            seen.points += 1
            seen.values[self._pack.canonical(point.name)] = point.value
        if seen.rules is not None:
            seen.rules.feed(points)
        return _latest(seen)

    def summary(self, job: Job, attempt: Attempt) -> Summary:
        """The ended run in numbers, under the pack's names, with its series; empty when nothing can be read."""
        self._seen.pop(attempt.output_dir, None)
        readings = map(registry.read_run, self._folders(attempt.output_dir))
        reading = next((one for one in readings if one is not None), None)
        log = self._log_end(Path(attempt.log_file), _URL_BYTES)
        series = {self._pack.canonical(name): one for name, one in reading.series.items()} if reading else {}
        return Summary(
            run_dir=attempt.output_dir,
            config=job.config,
            config_file=job.cfg_file,
            outcome=attempt.outcome,
            wandb_url=find_wandb_url(log, reading),
            metrics=summarise(series, self._pack.direction),
            series=series,
            log_tail=attempt.log_tail,
            notes=reading.notes if reading else (),
        )

    def looked_for(self, output_dir: str) -> tuple[str, ...]:
        """The files that a history was looked for in."""
        return registry.looked_for(self._root / output_dir)

    def _folders(self, output_dir: str) -> tuple[Path, Path]:
        """Where a run's history may lie: its output folder, else beside it."""
        return self._root / output_dir, self._root / beside(output_dir)


def _latest(seen: _Seen) -> Latest:
    return Latest(step=seen.step, values=seen.values, points=seen.points)
