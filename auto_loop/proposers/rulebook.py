"""The rulebook: a pack's rules as a proposer."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from auto_loop.domain.decision import ParentSeen
from auto_loop.domain.history import History
from auto_loop.domain.job import Job, JobId, JobState, Outcome
from auto_loop.domain.proposal import Silence
from auto_loop.domain.snapshot import Snapshot
from auto_loop.domain.stats import Direction
from auto_loop.domain.summary import Summary
from auto_loop.proposers.base import Candidate, Offer
from auto_loop.rules.engine import Firing, fire
from auto_loop.rules.facts import facts_of
from auto_loop.rules.model import Pack

NO_RULE = "no rule fired"
NO_HISTORY = "no readable history"
REFUSED = "refused"


def _nowhere(_folder: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """Proposes by the rules of a pack.

    `looked_for` names the files that readers seek in an output folder; `shift` is what track records add to the rules'
    priorities.
    """

    pack: Pack
    looked_for: Callable[[str], Sequence[str]] = _nowhere
    shift: Mapping[str, int] = field(default_factory=dict)

    def propose(self, snapshot: Snapshot, history: History, n: int) -> Offer:
        """Candidates from the jobs of the snapshot's round that are done."""
        due = (job for job in history.jobs if job.loop == snapshot.loop and job.round == snapshot.round)
        return self.offer(due, history)

    def offer(self, jobs: Iterable[Job], history: History) -> Offer:
        """Candidates from the finished ones among `jobs`, those with the best main metric first."""
        done = [job for job in jobs if job.state is JobState.DONE and job.outcome is not Outcome.CANCELLED]
        candidates: list[Candidate] = []
        silences: list[Silence] = []
        seen: list[ParentSeen] = []
        for job in sorted(done, key=lambda job: rank(self.pack, history.summaries.get(job.id))):
            summary = history.summaries.get(job.id)
            if summary is None or not summary.metrics:
                files = ", ".join(self.looked_for(_folder(job))) or "its output folder"
                silences.append(Silence(parent=job.id, cause=NO_HISTORY, detail=f"looked for {files}"))
                continue
            firing = fire(self.pack, summary, self.shift)
            seen.append(_seen(job, firing))
            candidates += [Candidate(parent=job, proposal=proposal) for proposal in firing.proposals]
            if not firing.proposals:
                silences.append(silence_of(job.id, firing))
        return Offer(candidates=tuple(candidates), silences=tuple(silences), seen=tuple(seen))


def _seen(job: Job, firing: Firing) -> ParentSeen:
    return ParentSeen(
        job=job.id,
        repeats=(job.id,),
        readings=firing.readings,
        diagnoses=tuple((one.name, one.text) for one in firing.diagnoses),
        unknown=firing.unknown,
    )


def silence_of(job: JobId, firing: Firing) -> Silence:
    """That no rule fired, with the one that came nearest and what others could not be judged without."""
    nearest = firing.nearest or "the pack has no rules"
    return Silence(parent=job, cause=NO_RULE, detail=f"nearest: {nearest}{_lacking(firing)}")


def _lacking(firing: Firing) -> str:
    """What most rules could not be judged without, in words; nothing when all were judged."""
    if not firing.unknown:
        return ""
    counts = Counter(gap for gaps in firing.unknown.values() for gap in gaps)
    most = ", ".join(gap for gap, _ in counts.most_common(4))
    return f"; {len(firing.unknown)} rules lack {most}{', ...' if len(counts) > 4 else ''}"


def rank(pack: Pack, summary: Summary | None) -> float:
    """A sort key by the pack's objective: better is smaller, unknown comes last."""
    found = None if summary is None else objective(pack, summary)
    if found is None:
        return math.inf
    return -found if goal_direction(pack) is Direction.HIGHER else found


def goal_direction(pack: Pack) -> Direction:
    """Which way the pack's objective is better."""
    goal = pack.objective
    return goal.direction if goal.expression is not None else pack.direction(pack.main_metric)


def objective(pack: Pack, summary: Summary) -> float | None:
    """A run's value of the pack's objective: the best of its metric, else the last; None where it is unknown."""
    if pack.objective.expression is not None:
        return pack.objective.expression.number(facts_of(summary, pack.canonical))
    stats = facts_of(summary, pack.canonical).metrics.get(pack.main_metric)
    if stats is None:
        return None
    return stats.best if stats.best is not None else stats.last


def _folder(job: Job) -> str:
    return job.last_attempt.output_dir if job.last_attempt else job.output_dir
