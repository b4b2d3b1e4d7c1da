"""From a job and a slot to its launch request: where its files lie, and the port it meets its own processes on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auto_loop.assembly.prepare import Prepared
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.job import AttemptId, Job
from auto_loop.domain.slot import Slot
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.command import AttemptFiles, JobSpec, build
from auto_loop.launch.ports import PortLease

_NOT_NUMBERED = AttemptId(0)
_SHOWN_PORT = 23400


def no_lease() -> PortLease:
    """A stand-in for a leased port, in a plan that only shows what would run."""
    return PortLease(_SHOWN_PORT, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Builds the requests of one loop. `lease` gives the port that a job of several processes meets on."""

    prepared: Prepared
    around: Surroundings
    loop: int
    lease: Callable[[], PortLease] = no_lease

    def output_dir(self, name: str, attempt: int = 1) -> str:
        """The output folder that the trainer is told and makes itself, relative to the project."""
        layout, own = self.around.layout, self.prepared.output_dir
        if own:
            folder = layout.job_folder((layout.root / own).parent, Path(own).name, attempt)
        else:
            folder = layout.job_folder(layout.loop_folder(self.prepared.call.output_root, self.loop), name, attempt)
        return folder.relative_to(layout.root).as_posix() if folder.is_relative_to(layout.root) else str(folder)

    def request(self, job: Job, slot: Slot, attempt: int, token: str) -> LaunchRequest:
        """Everything that will run for this attempt."""
        lease = self.lease() if len(slot.gpus) > 1 else None
        spec = JobSpec(
            attempt=_NOT_NUMBERED,
            token=token,
            cfg_file=Path(job.cfg_file),
            config=job.config,
            output_dir=self.output_dir(job.name, attempt),
            slot=slot,
            files=self._files(job.name, slot, attempt),
            port=lease.port if lease else None,
            held=(lease.descriptor,) if lease else (),
        )
        return build(spec, self.prepared.profile.value, self.prepared.options)

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
