"""A whole loop on a stub launcher and a fake clock: real ledger, real files, real rules; no process trains."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auto_loop.assembly.running import Front, run_autorun
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.event import Event
from auto_loop.domain.history import History
from auto_loop.domain.slot import Gpu
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.gpu_survey import Look
from auto_loop.launch.stub import Act, FakeClock, StubLauncher
from auto_loop.ledger.reading import Reading
from auto_loop.workspace.layout import Layout

PACK = """
[objective]
metric = "eval/loss"
direction = "lower"

[[rule]]
name = "halve"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 0.5 }
reason = "loss ended at {last('eval/loss')}"
group = "lr"

[[rule]]
name = "double"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 2.0 }
reason = "the other way"
group = "lr"
"""
GPUS = tuple(Gpu(index=n, uuid=f"GPU-{n:04}", name="H", memory_total=2**34) for n in range(4))
Script = Callable[[LaunchRequest], Act]


@dataclass(slots=True)
class Watching:
    """An observer that keeps what it was told, and can act on it."""

    events: list[Event] = field(default_factory=list)
    react: Callable[[Event], None] = lambda event: None

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.react(event)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


@dataclass(slots=True)
class FakeSurvey:
    """GPUs as a scenario tells them: idle ones, unless `looks` says otherwise of a UUID."""

    looks: dict[str, Look] = field(default_factory=dict)

    def look(self, uuid: str, *, reopen: bool = True) -> Look:
        return self.looks.get(uuid, Look())


@dataclass(slots=True)
class World:
    """A project folder with a trainer that is never run, a pack, and as many configs as asked for."""

    root: Path
    gpus: tuple[Gpu, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    said: list[str] = field(default_factory=list)
    watching: Watching = field(default_factory=Watching)
    launchers: list[StubLauncher] = field(default_factory=list)
    survey: FakeSurvey = field(default_factory=FakeSurvey)
    tokens: int = 0
    least_free: int = 0
    fault: Callable[[str], None] = lambda moment: None

    def __post_init__(self) -> None:
        (self.root / "train.py").write_text("raise SystemExit('never run')\n")
        (self.root / "pack.toml").write_text(PACK)

    def configs(self, count: int) -> tuple[str, ...]:
        names = tuple(f"c{number}.json" for number in range(count))
        for number, name in enumerate(names):
            (self.root / name).write_text(json.dumps({"lr": (number + 1) / 10}))
        return names

    def call(self, **options: object) -> AutorunCall:
        usual = {"profile": "script", "pack": "pack.toml", "train_script": "train.py", "execute": True}
        return AutorunCall(**{**usual, **options})

    def run(self, script: Script | None = None, launcher: StubLauncher | None = None, **options: object) -> int:
        """Autorun with a stub in the launcher's place, a new one unless it is given; the exit code."""
        launcher = launcher or StubLauncher(script or self.trains(), self.clock)
        self.launchers.append(launcher)
        front = Front(observer=self.watching, say=self.said.append, launcher=lambda: launcher)
        return run_autorun(self.call(**options), front, self.around())

    def around(self) -> Surroundings:
        import sys

        return Surroundings(
            layout=Layout(self.root),
            env={"AUTO_LOOP_LEASE_DIR": str(self.root / "leases"), **self.env},
            home=self.root,
            python=sys.executable,
            cores=4,
            clock=self.clock,
            new_token=self._token,
            probe_gpus=lambda: self.gpus,
            survey=self.survey,  # type: ignore[arg-type] # it is only looked with
            least_free=self.least_free,
            fault=self.fault,
        )

    def _token(self) -> str:
        self.tokens += 1
        return f"token{self.tokens}"

    def trains(self, seconds: float = 10.0, **act: object) -> Script:
        """Every job trains: it ends after `seconds` and leaves a history whose loss is its learning rate."""
        return lambda request: Act(duration_s=seconds, on_end=self.logs, **act)  # type: ignore[arg-type] # an Act's own fields

    def logs(self, request: LaunchRequest) -> None:
        """What the trainer would have left: losses that fall to its learning rate."""
        words = dict(word.split("=", 1) for word in request.argv if "=" in word)
        lr = json.loads((self.root / words["--config_path"]).read_text())["lr"]
        folder = self.root / words["--output_dir"]
        folder.mkdir(parents=True)
        rows = [{"step": step, "eval/loss": lr + 1.0 / step} for step in (10, 20, 30)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    @property
    def requests(self) -> list[LaunchRequest]:
        return [request for launcher in self.launchers for request in launcher.requests]

    def history(self, study: str = "pack") -> History:
        reading = Reading.open(self.root / "outputs" / "ledger.sqlite3")
        try:
            return reading.history(study)
        finally:
            reading.close()

    def summary(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.root / "reports/data/autorun_summary.json").read_text())
        return found
