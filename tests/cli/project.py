"""A project folder of its own, and the front doors called in it as real processes."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auto_loop.domain.history import History
from auto_loop.ledger.reading import Reading

ROOT = Path(__file__).resolve().parents[2]
BASELINE = "train_configs/act_ot_baseline.json"
SCRIPT = ("--profile", "script", "--train-script", "train.py")
TIMEOUT_S = 120

# Each board is one GPU of the machine that NVML then shows; none of them is really there.
FAKE_NVML = """
import os
from tests.fakes.nvml import *
from tests.fakes.nvml import BOARDS, Board
BOARDS[:] = [Board(bus=f"0000:{n:02x}:00.0", uuid=f"GPU-{n:04}") for n in range(int(os.environ.get("FAKE_GPUS", "0")))]
"""


@dataclass(slots=True)
class Project:
    """A folder like a fresh clone's (`auto_loop` lies in it), an empty home, no keys, and as many GPUs as asked for."""

    root: Path
    gpus: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "train_configs").mkdir(parents=True)
        (self.root / ".codex_tmp").mkdir()
        (self.root / "auto_loop").symlink_to(ROOT / "auto_loop")
        beside = self.root.parent / f"{self.root.name}-beside"
        (beside / "bin").mkdir(parents=True)
        (beside / "home").mkdir()
        (beside / "fakes").mkdir()
        (beside / "fakes" / "pynvml.py").write_text(FAKE_NVML)
        python = beside / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """A plain user's environment: nothing of W&B, accelerate or CUDA in it."""
        beside = self.root.parent / f"{self.root.name}-beside"
        return {
            "PATH": f"{beside / 'bin'}:{os.environ['PATH']}",
            "HOME": str(beside / "home"),
            "PYTHONPATH": f"{beside / 'fakes'}:{ROOT}",
            "AUTO_LOOP_LEASE_DIR": str(beside / "leases"),
            "FAKE_GPUS": str(self.gpus),
            "OMP_NUM_THREADS": "1",
            **self.extra,
        }

    def shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Shell text, run as it stands."""
        return self._run(["bash", "-c", text])

    def call(self, verb: str, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`python -m auto_loop.<verb> words...`."""
        return self._run([sys.executable, "-m", f"auto_loop.{verb}", *words], env)

    def start(self, verb: str, *words: str) -> subprocess.Popen[str]:
        """The same, not waited for; its stdout is a pipe, and it leads a process group as in a terminal."""
        command = [sys.executable, "-u", "-m", f"auto_loop.{verb}", *words]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.root,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def baseline(self) -> dict[str, Any]:
        """The shipped baseline, copied into the project; its content."""
        shutil.copy(ROOT / BASELINE, self.root / BASELINE)
        return self.read(BASELINE)

    def write(self, name: str, content: object) -> str:
        """A file with this text, or this value as JSON; its name."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.root / name).write_text(text)
        return name

    def read(self, name: str) -> Any:
        """The JSON in a file."""
        return json.loads((self.root / name).read_text())

    def files(self, pattern: str) -> list[str]:
        """The project's files and folders of this pattern, sorted."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))

    def summary_jobs(self, study: str) -> list[dict[str, Any]]:
        """Every job of a study as the summary JSON has it, rounds in order."""
        rounds = self.read("reports/data/autorun_summary.json")["studies"][study]["rounds"]
        return [job for one in rounds for job in one["jobs"]]

    def history(self, study: str) -> History:
        """The study as the ledger has it."""
        reading = Reading.open(self.root / "outputs" / "ledger.sqlite3")
        try:
            return reading.history(study)
        finally:
            reading.close()
