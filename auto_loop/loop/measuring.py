"""What the loop learns from what runs log: how far each is while it goes on, and its summary when it has ended."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from auto_loop.domain.config import Json
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId
from auto_loop.domain.series import Series
from auto_loop.domain.summary import Summary
from auto_loop.loop.journal import Journal
from auto_loop.loop.live import Fired, without_metrics
from auto_loop.loop.parts import Look, Parts
from auto_loop.loop.pulse import Pulse, felt
from auto_loop.loop.recover import Live
from auto_loop.rules.live import concerns
from auto_loop.rules.recorded import metrics_read

UNJUDGED = "live rules without metrics"  # the kind of the event


class Measuring:
    """The runs to be read, those that were, and the pulse of those that go on.

    `summaries` are this supervisor's own, which hold their series, until they are cleared; `pulses`, `verdicts` of live
    rules and `warnings` that nobody was told of are those of the last look.
    """

    def __init__(self, parts: Parts, journal: Journal) -> None:
        self._parts = parts
        self._journal = journal
        self._unread: deque[tuple[Job, Attempt]] = deque()
        self._measured: list[tuple[Job, AttemptId, Summary]] = []
        self._told: set[tuple[AttemptId, str]] = set()
        self._read_by_pack = metrics_read(parts.pack)
        self.summaries: dict[JobId, Summary] = {}
        self.pulses: dict[AttemptId, Pulse] = {}
        self.verdicts: dict[AttemptId, Fired] = {}
        self.warnings: dict[AttemptId, tuple[Fired, ...]] = {}

    @property
    def read(self) -> tuple[JobId, ...]:
        """The jobs whose runs were read, and whose summaries are not durable yet."""
        return tuple(job.id for job, _, _ in self._measured)

    def add(self, ended: Iterable[tuple[Job, Attempt]]) -> None:
        """Runs that have ended and are to be read."""
        self._unread.extend(ended)

    def read_one(self) -> bool:
        """Turn one ended run into its summary; the slot it held has long been given on. False when none is left."""
        if not self._unread:
            return False
        job, attempt = self._unread.popleft()
        summary = self._parts.meter.summary(job, attempt)
        if self._parts.call.decide:  # only the rules want the series, and these weigh
            self.summaries[job.id] = replace(summary, series=self._asked_for(summary.series))
        self._measured.append((job, attempt.id, summary))
        metric = self._parts.pack.main_metric
        stats = summary.metrics.get(metric)
        detail: dict[str, Json] = {
            "job": job.name,
            "metric": metric,
            "first": stats.first if stats else None,
            "last": stats.last if stats else None,
            "best": stats.best if stats else None,
            "best_step": stats.best_step if stats else None,
        }
        self._journal.say("job measured", job.id, detail)
        return True

    def _asked_for(self, series: Mapping[str, Series]) -> dict[str, Series]:
        """The series that the pack reads: a round's others would only weigh."""
        return {name: one for name, one in series.items() if concerns(self._read_by_pack, frozenset({name}))}

    def write(self) -> None:
        """The summaries into the open transaction; `written` when that is durable."""
        for job, attempt, summary in self._measured:
            self._parts.ledger.record_summary(attempt, summary)
            lacking = without_metrics(self._parts.pack, summary) if job.loop == self._parts.loop else {}
            if summary.series and lacking:  # a run of which nothing was read is another matter
                rules: dict[str, Json] = {rule: [*metrics] for rule, metrics in lacking.items()}
                self._journal.write(UNJUDGED, job.id, {"job": job.name, "attempt": attempt, "rules": rules})

    def written(self) -> None:
        """The summaries are in the ledger: have them drawn."""
        if self._measured:
            self._measured.clear()
            self._parts.workshop.redraw()

    def finish(self) -> None:
        """Read all that is unread, and write it down."""
        while self.read_one():
            pass
        with self._parts.ledger.transaction():
            self.write()
        self.written()

    def told(self, warnings: Iterable[tuple[AttemptId, str]]) -> None:
        """That these live rules' warnings are written down: each is told once for an attempt."""
        self._told |= set(warnings)
        self._set_warnings(self.warnings)

    def _set_warnings(self, found: Mapping[AttemptId, tuple[Fired, ...]]) -> None:
        new = {at: tuple(one for one in fired if (at, one.stop.name) not in self._told) for at, fired in found.items()}
        self.warnings = {attempt: fired for attempt, fired in new.items() if fired}

    def _judge(self, looks: Sequence[tuple[Live, Look]]) -> None:
        """What live rules say: they are this loop's, and so are the jobs that they judge."""
        mine = [(live.attempt, look) for live, look in looks if live.job.loop == self._parts.loop]
        self.verdicts = {at.id: look.verdict for at, look in mine if look.verdict is not None and at.stop is None}
        self._set_warnings({attempt.id: look.warnings for attempt, look in mine})

    def look(self, runs: Iterable[Live], passed_s: float) -> None:
        """Feel the pulse of what runs, `passed_s` after the last look, have live rules judge it, and tell observers how
        far each slot is."""
        metric, felt_now = self._parts.pack.main_metric, dict[AttemptId, Pulse]()
        cells: list[Json] = []
        looks: list[tuple[Live, Look]] = []
        for live in sorted(runs, key=lambda live: live.attempt.slot):
            look = self._parts.meter.look(live.job, live.attempt)
            looks.append((live, look))
            latest = look.latest
            before = self.pulses.get(live.attempt.id, Pulse())
            log = 0 if latest.points else self._parts.workshop.log_bytes(live.attempt.log_file)
            felt_now[live.attempt.id] = felt(before, latest.points, log, passed_s)
            cell: dict[str, Json] = {"slot": live.attempt.slot, "job": live.job.name, "step": latest.step}
            value = latest.values.get(metric)
            cells.append({**cell, "steps": self._parts.call.steps, "metric": metric, "value": value})
        self.pulses = felt_now
        self._judge(looks)
        snapshot = self._parts.ledger.reading.snapshot(self._parts.study, self._parts.loop, 0)
        total = snapshot.done + snapshot.queued + len(snapshot.active)
        round_now = snapshot.deepest if self._parts.call.steady else snapshot.round
        detail: dict[str, Json] = {"round": round_now, "rounds": self._parts.call.rounds, "done": snapshot.done}
        self._journal.say("progress", None, {**detail, "total": total, "slots": cells})
