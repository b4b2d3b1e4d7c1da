"""History: what is finished in a study. Read when a decision is due; it feeds proposers and reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.decision import Decision, DecisionId
from auto_loop.domain.job import Job, JobId
from auto_loop.domain.proposal import Proposal, Silence, Verdict
from auto_loop.domain.study import Loop, Study
from auto_loop.domain.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRecord:
    """A proposal as the ledger keeps it: what was proposed after which job, and what became of it.

    `child` is the job that an accepted proposal became; `predictions` are what the pack's laws expected of it, and
    `improved` says whether it was measured to be better than its parent (None while nothing can be said). `decision` is
    the asking of the rules that it came of; `id` its number in the ledger.
    """

    loop: int
    round: int
    parent: JobId
    proposal: Proposal
    verdict: Verdict
    edits: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    child: JobId | None = None
    predictions: Mapping[str, float] = field(default_factory=dict)
    decision: DecisionId | None = None
    improved: bool | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceRecord:
    """That a job gave no next job, in which round, and why."""

    loop: int
    round: int
    silence: Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A study whole: its loops, jobs in order of their numbers, summaries of the finished ones, and decisions."""

    study: Study
    loops: tuple[Loop, ...] = ()
    jobs: tuple[Job, ...] = ()
    summaries: Mapping[JobId, Summary] = field(default_factory=dict)
    proposals: tuple[ProposalRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
    decisions: tuple[Decision, ...] = ()
