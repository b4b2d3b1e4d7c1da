"""The report as a value: what happened in a study, loop by loop, round by round, job by job.

Everything that the Markdown and the JSON say is in here; they only write it down.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.effect import Effect
from auto_loop.domain.history import ProposalRecord, SilenceRecord
from auto_loop.domain.job import JobId, JobState
from auto_loop.domain.noise import NoiseFloor
from auto_loop.domain.study import Loop, Study
from auto_loop.reporting.cells import CellReport, ConfirmationReport
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.rule_records import RuleReport


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSlot:
    """That a slot was left alone for a cause that lay outside of the loop, `times` times, first at `since` (unix s)."""

    place: str
    cause: str
    since: float
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """A cause that a parent's runs showed when the rules were asked: its name, and the pack's words for it."""

    job: JobId
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """What a live rule had to say of a running job without stopping it, or why it could start no successor."""

    job: JobId
    rule: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """One round: its jobs, their cells, and what was decided after them. `best` is the cell that lies furthest."""

    loop: int
    number: int
    jobs: tuple[JobReport, ...]
    cells: tuple[CellReport, ...] = ()
    diagnosed: tuple[Diagnosed, ...] = ()
    confirmation: ConfirmationReport | None = None
    proposals: tuple[ProposalRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
    best: CellReport | None = None

    @property
    def open(self) -> int:
        """How many of its jobs have not ended."""
        return sum(job.state is not JobState.DONE for job in self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopReport:
    """One loop: its rounds in order, the cell that lies furthest, and its jobs counted by how they stand.

    `noise` is how far apart runs of one config lie, as known from this loop, or else from the loop `noise_of`.
    """

    loop: Loop
    rounds: tuple[RoundReport, ...]
    best: CellReport | None = None
    standing: Mapping[str, int] = field(default_factory=dict)
    idle: tuple[IdleSlot, ...] = ()
    warned: tuple[Warned, ...] = ()
    noise: NoiseFloor | None = None
    noise_of: int = 0

    @property
    def jobs(self) -> tuple[JobReport, ...]:
        """All its jobs, in order of rounds."""
        return tuple(job for each in self.rounds for job in each.jobs)

    @property
    def repeated(self) -> bool:
        """Whether a config of it ran, or is to run, under several seeds."""
        return any(len(cell.jobs) > 1 for one in self.rounds for cell in one.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A study at the moment `written_at` (unix s); loops newest first. `known` are all its jobs by number.

    `cells` are those of each round by their first jobs there, `effects` those of repeated cells against their parents.
    `undriven` says that nobody drives the study's unfinished loop, and how to go on; empty when somebody may.
    """

    study: Study
    written_at: float
    loops: tuple[LoopReport, ...]
    lens: Lens
    known: Mapping[JobId, JobReport] = field(default_factory=dict)
    cells: Mapping[JobId, CellReport] = field(default_factory=dict)
    effects: Mapping[JobId, Effect] = field(default_factory=dict)
    confirmations: tuple[ConfirmationReport, ...] = ()
    rules: RuleReport = field(default_factory=RuleReport)
    undriven: str = ""

    def noise(self, loop: int) -> NoiseFloor | None:
        """The noise floor by which a loop's runs are judged; None where it is not known."""
        return next((each.noise for each in self.loops if each.loop.number == loop), None)

    def job(self, number: JobId) -> JobReport | None:
        """The job with this number, whichever loop it belongs to."""
        return self.known.get(number)
