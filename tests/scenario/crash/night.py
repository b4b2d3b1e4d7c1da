"""A night: a small project, a supervisor that is killed again and again, and a last one that comes to its end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from auto_loop.launch.processes import tree
from tests.fakes.nvml import FILE, PROGRAM, Board, write_machine
from tests.scenario.crash.evidence import keepers

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
# A resume that finds nothing to go on with: the loop was never opened, or it has come to its end.
NOTHING_TO_RESUME = 2
# An end that nobody forced must come within this time; more only means that the loop hangs.
END_S = 300.0
START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What sort of night: how often the supervisor dies, on what, and how quick everything is.

    `rounds` rounds of `round_size` jobs make a loop; when one has ended and kills are left, a new one begins. A trainer
    takes between `quick` and `slow` seconds; a supervisor lives for up to `longest_s`.
    """

    kills: int
    seed: int
    gpus: int = 0
    keepers_too: bool = False
    retries: int | None = None
    rounds: int = 4
    round_size: int = 4
    quick: float = 0.1
    slow: float = 1.0
    longest_s: float = 2.0


@dataclass(slots=True)
class Night:
    """The project in `root`; `deaths` counts the kills by when they came, `cries` what no supervisor should say."""

    root: Path
    kind: Kind
    deaths: Counter[str] = field(default_factory=Counter)
    cries: list[str] = field(default_factory=list)
    loops: int = 0
    starts: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.chance = random.Random(self.kind.seed)
        shutil.copy(HERE / "trainer.py", self.root / "train.py")
        shutil.copy(HERE / "pack.toml", self.root / "pack.toml")
        if self.kind.gpus:
            boards = [Board(bus=f"00000000:0{n}:00.0", uuid=f"GPU-{n:08}") for n in range(self.kind.gpus)]
            write_machine(self.root / "machine.json", boards)

    @property
    def diary(self) -> Path:
        """Where the trainers write; outside of all that the loop knows."""
        return self.root.parent / f"{self.root.name}.diary"

    @property
    def log(self) -> Path:
        """What the supervisors said."""
        return self.root.parent / f"{self.root.name}.log"

    def pass_by(self) -> None:
        """Kill and resume until all kills are spent, then let the loop come to its end."""
        resuming = False
        while True:
            last = self.deaths.total() - self.deaths["keepers"] >= self.kind.kills
            code = self._supervise(self.resuming() if resuming else self.beginning(), kill=not last)
            if code is None:
                resuming = True
            elif code == NOTHING_TO_RESUME and resuming:
                if last and self.loops:
                    break
                resuming = False
            elif last:
                self._judge(code)
                break
            else:
                self._judge(code)
                resuming = False
        self.listen()

    def beginning(self) -> list[str]:
        """The command that opens a loop, with configs that the study has not tried yet."""
        self.loops += 1
        files = [f"c{self.loops}_{number}.json" for number in range(3)]
        for file in files:
            config = {
                "lr": self.chance.uniform(0.1, 1.0),
                "seconds": self.chance.uniform(self.kind.quick, self.kind.slow),
            }
            (self.root / file).write_text(json.dumps(config))
        where = ["--gpus", ",".join(map(str, range(self.kind.gpus)))] if self.kind.gpus else ["--device", "cpu"]
        size = ["--rounds", str(self.kind.rounds), "--round-size", str(self.kind.round_size)]
        steps = ["--steps", "50", "--log-freq", "10", "--eval-freq", "10"]
        trainer = ["--train-script", "train.py", "--profile", "script", "--pack", "pack.toml"]
        slots = [] if self.kind.gpus else ["--concurrency", "2"]
        retries = [] if self.kind.retries is None else ["--retries", str(self.kind.retries)]
        return ["--cfgs", *files, *trainer, *steps, "--decide", *size, *where, *slots, *retries, "--exec"]

    def resuming(self) -> list[str]:
        """The command that goes on with an unfinished loop."""
        return ["--resume", "--study", "pack", "--exec"]

    def _supervise(self, options: list[str], *, kill: bool) -> int | None:
        """Run one supervisor; its exit code, or None when it was killed."""
        self.starts += 1
        with self.log.open("ab") as log:
            log.write(f"--- start {self.starts}: {' '.join(options)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "auto_loop.autorun", *options],
                cwd=self.root,
                env=self.env(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if not kill:
            return process.wait(END_S)
        moment = self.chance.choices(("starting", "recovering", "working"), (1, 3, 6))[0]
        code = self._live(process, moment)
        if code is None:
            if self.chance.random() < 0.5:
                self._kill_keepers()  # under the eyes of a supervisor that has little time left
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.deaths[moment] += 1
            self._kill_keepers()
        return code

    def _live(self, process: subprocess.Popen[bytes], moment: str) -> int | None:
        """Wait until the kill is due; the exit code when the supervisor ended before."""
        if moment != "starting":
            deadline = time.monotonic() + START_S
            while not holds_ledger(process.pid) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
        longest = {"starting": 0.4, "recovering": 0.3, "working": self.kind.longest_s}[moment]
        try:
            return process.wait(self.chance.uniform(0.0, longest))
        except subprocess.TimeoutExpired:
            return None

    def _kill_keepers(self) -> None:
        """SIGKILL to about every third keeper, and with half of them to all that they started."""
        if self.kind.keepers_too:
            for pid, token in keepers(self.root).items():
                if self.chance.random() < 0.3:
                    below = tree(pid, token) if self.chance.random() < 0.5 else ()
                    for one in (pid, *below):
                        kill_quietly(one)
                    self.deaths["keepers"] += 1

    def _judge(self, code: int) -> None:
        """A supervisor that nobody killed ends with 0, or with 1 when jobs may be lost."""
        if code not in ((0, 1) if self.kind.keepers_too else (0,)):
            self.cries.append(f"supervisor {self.starts} ended with exit code {code}")

    def listen(self) -> None:
        """Hear what the supervisors cried out."""
        text = self.log.read_text(errors="replace")
        if "Traceback (most recent call last)" in text:
            self.cries.append(f"a traceback in {self.log}")

    def env(self) -> dict[str, str]:
        """The environment of every process of this night: leases of its own, its diary, a fake NVML where asked for."""
        fake = [str(PROGRAM)] if self.kind.gpus else []
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*fake, str(REPOSITORY)]),
            FILE: str(self.root / "machine.json"),
            "AUTO_LOOP_LEASE_DIR": str(self.root / "leases"),
            "CRASH_DIARY": str(self.diary),
        }


def holds_ledger(pid: int) -> bool:
    """Whether the process has its ledger open: from there on it recovers, then works."""
    try:
        opened = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    return any(name.endswith("ledger.sqlite3") for name in opened)


def kill_quietly(pid: int) -> None:
    """SIGKILL, unless it is gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
