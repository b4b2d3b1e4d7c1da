"""The layout: where everything of a project lies, as plain path arithmetic.

Nothing is created or looked at here.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The places below a project's root folder."""

    root: Path

    @property
    def train_configs(self) -> Path:
        """Configs, in the trainer's own shape."""
        return self.root / "train_configs"

    @property
    def reports(self) -> Path:
        """Round reports."""
        return self.root / "reports"

    @property
    def outputs(self) -> Path:
        """The ledger, and below `train` what the jobs write."""
        return self.root / "outputs"

    @property
    def scratch(self) -> Path:
        """Logs and the files that pass between the supervisor and the keepers."""
        return self.root / ".codex_tmp"

    @property
    def wandb_cache(self) -> Path:
        """W&B's cache, config and data, which would else lie in the home folder."""
        return self.root / ".wandb_cache"

    @property
    def ledger_file(self) -> Path:
        """The truth."""
        return self.outputs / "ledger.sqlite3"

    @property
    def proposals(self) -> Path:
        """The inbox of outside proposals."""
        return self.scratch / "proposals"

    @property
    def summary_file(self) -> Path:
        """The rounds of all studies as JSON."""
        return self.reports / "data" / "autorun_summary.json"

    def report_file(self, study: str) -> Path:
        """The round report of a study."""
        return self.reports / f"{study}.md"

    def loop_folder(self, output_root: Path | str, number: int) -> Path:
        """The folder of a loop; its number is UTC seconds in ten digits, so that names sort by time."""
        return self.root / output_root / f"loop_{number:010d}"

    def job_folder(self, loop_folder: Path, job: str, attempt: int = 1) -> Path:
        """The output folder of a job's attempt: the trainer makes it, never we."""
        return loop_folder / f"{job}{_attempt_suffix(attempt)}"

    def log_file(self, slot: int, job: str, attempt: int = 1, loop: int | None = None) -> Path:
        """Stdout and stderr of an attempt; with its loop's number where another loop's log has the plain name."""
        suffix = f".loop_{loop:010d}" if loop is not None else ""
        return self.scratch / f"slot{slot}_{job}{_attempt_suffix(attempt)}{suffix}.log"

    def request_file(self, loop: int, job: str, attempt: int) -> Path:
        """What the keeper is to start."""
        return self._attempt_file(loop, job, attempt, "request")

    def claim_file(self, loop: int, job: str, attempt: int) -> Path:
        """The keeper's claim: without it an attempt never ran."""
        return self._attempt_file(loop, job, attempt, "claim")

    def exit_file(self, loop: int, job: str, attempt: int) -> Path:
        """How the attempt ended, as its keeper saw it."""
        return self._attempt_file(loop, job, attempt, "exit")

    def inner_file(self, loop: int, job: str, attempt: int) -> Path:
        """The cause of an end, from inside the trainer's process."""
        return self._attempt_file(loop, job, attempt, "inner")

    def _attempt_file(self, loop: int, job: str, attempt: int, what: str) -> Path:
        return self.scratch / "attempts" / f"{loop}_{job}.a{attempt}.{what}"


def _attempt_suffix(attempt: int) -> str:
    """Nothing for a first attempt, `.a2` for the second."""
    return f".a{attempt}" if attempt > 1 else ""
