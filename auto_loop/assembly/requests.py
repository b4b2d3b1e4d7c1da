"""From a job and a slot to its launch request: where its files lie, and the checkpoint that it goes on from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auto_loop.assembly.prepare import Prepared
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.job import AttemptId, Job, JobId, Outcome
from auto_loop.domain.slot import Slot
from auto_loop.launch.command import AttemptFiles, JobSpec, build
from auto_loop.launch.gate import Pass
from auto_loop.loop.parts import Order, Ticket

_NOT_NUMBERED = AttemptId(0)
_SHOWN_PORT = 23400


def shown_pass(slot: Slot) -> Pass:
    """A stand-in for what the gate gives, in a plan that only shows what would run."""
    return Pass(port=_SHOWN_PORT if len(slot.gpus) > 1 else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """The folder that a job's weights start from; or why it starts fresh though it should not."""

    folder: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Builds the requests of one loop; `job_of` finds the jobs that others start warm from."""

    prepared: Prepared
    around: Surroundings
    loop: int
    job_of: Callable[[JobId], Job | None] = lambda job: None

    def output_dir(self, name: str, attempt: int = 1) -> str:
        """The output folder that the trainer is told and makes itself, relative to the project."""
        layout, own = self.around.layout, self.prepared.output_dir
        if own:
            folder = layout.job_folder((layout.root / own).parent, Path(own).name, attempt)
        else:
            folder = layout.job_folder(layout.loop_folder(self.prepared.call.output_root, self.loop), name, attempt)
        return folder.relative_to(layout.root).as_posix() if folder.is_relative_to(layout.root) else str(folder)

    def order(self, ticket: Ticket) -> Order:
        """Everything that will run for this attempt.

        One that goes on from an earlier attempt's checkpoint writes into the same folder.
        """
        job, folder = ticket.job, self.output_dir(ticket.job.name, ticket.number)
        checkpoint = self._checkpoint(job)
        if checkpoint:
            folder, resume_from = checkpoint
        else:
            resume_from = ""
        warm = Warm() if resume_from else self._warm(job)
        spec = JobSpec(
            attempt=_NOT_NUMBERED,
            token=ticket.token,
            cfg_file=Path(job.cfg_file),
            config=job.config,
            output_dir=folder,
            slot=ticket.slot,
            files=self._files(job.name, ticket.slot, ticket.number),
            port=ticket.entry.port,
            held=ticket.entry.held,
            resume_from=resume_from,
            warm_from=warm.folder,
        )
        request = build(spec, self.prepared.profile.value, self.prepared.options)
        return Order(
            request=request, output_dir=folder, resume_from=resume_from, warm_from=warm.folder, not_warm=warm.why_not
        )

    def _warm(self, job: Job) -> Warm:
        """The last checkpoint of the job that this one is to start from."""
        if job.warm_from is None:
            return Warm()
        profile = self.prepared.profile.value
        if not profile.warm_key:
            return Warm(why_not=f"profile {self.prepared.profile.name} does not say how its trainer starts warm")
        parent = self.job_of(job.warm_from)
        for attempt in reversed(parent.attempts if parent else ()):
            folder = Path(attempt.output_dir) / profile.warm_folder
            if (self.around.root / folder).is_dir():
                return Warm(folder=str(folder))
        return Warm(why_not=f"{parent.name if parent else f'job {job.warm_from}'} left no {profile.warm_folder}")

    def _checkpoint(self, job: Job) -> tuple[str, str] | None:
        """Output folder and checkpoint config of the job's newest attempt that left one, if the trainer can resume."""
        config = self.prepared.profile.value.resume_config
        if not config:
            return None
        spoilt = {one.output_dir for one in job.attempts if job.resumed(one) and one.failure and one.failure.is_its_own}
        for attempt in reversed(job.attempts):
            if attempt.outcome is Outcome.CANCELLED or attempt.output_dir in spoilt:
                continue
            file = Path(attempt.output_dir) / config
            if (self.around.root / file).is_file():
                return attempt.output_dir, str(file)
        return None

    def _files(self, name: str, slot: Slot, attempt: int) -> AttemptFiles:
        layout = self.around.layout
        log = layout.log_file(slot.index, name, attempt)
        if log.exists():  # an earlier loop's, or another study's: its words would be taken for this job's
            log = layout.log_file(slot.index, name, attempt, self.loop)
        return AttemptFiles(
            log=log,
            claim=layout.claim_file(self.loop, name, attempt),
            exit=layout.exit_file(self.loop, name, attempt),
            inner=layout.inner_file(self.loop, name, attempt),
            request=layout.request_file(self.loop, name, attempt),
        )
