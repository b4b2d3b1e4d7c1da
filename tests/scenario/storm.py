"""A storm over a loop: a stub launcher around which GPUs fail, strangers come and go, and supervisors die.

It is a model as well: it knows what really runs, on which GPU, and what was forbidden when, and holds every launch
against that. What it finds is in `breaches`, in words.
"""

import errno
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.job import Handle, Job
from auto_loop.domain.slot import Gpu
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.gpu_leases import GpuLease, Owner, lease_gpu
from auto_loop.launch.gpu_survey import Compute, Look
from auto_loop.launch.stub import Act, StubLauncher
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from tests.scenario.harness import World

STUDY = "pack"
RETRIES = 2
LEAST_BACK_OFF_S = 10.0
FOREVER_S = 1e9
STRANGER = Compute(pid=1, program="theirs", user="them", memory=2**30, ours=False)


class KilledError(BaseException):
    """The supervisor is gone at this instruction, as after a SIGKILL: no handler of its own may catch it."""


@dataclass(slots=True)
class Run:
    """One launch as it really goes: what it holds, and until when something of it lives."""

    job: str
    gpus: tuple[str, ...]
    token: str
    handle: Handle


@dataclass(slots=True)
class Forbidden:
    """What must not be launched from now on: anything by this supervisor, and these jobs by any."""

    all: bool = False
    jobs: set[str] = field(default_factory=set)


class Storm(StubLauncher):
    """A launcher in bad weather until `most` events have happened; then the sky clears and the loop may end."""

    def __init__(self, world: "StormWorld", most: int, seed: int) -> None:
        self._chance = random.Random(seed)
        super().__init__(self._act, world.clock)
        self.world = world
        self._most = most
        self._runs: list[Run] = []
        self._leases: dict[str, GpuLease] = {}
        self._forbidden = Forbidden()
        self.counts: Counter[str] = Counter()
        self.breaches: list[str] = []

    @property
    def over(self) -> bool:
        """Whether the storm has passed."""
        return self.counts.total() >= self._most

    def new_supervisor(self) -> None:
        """A supervisor begins: what was said to the one before means nothing to it."""
        self._forbidden.all = False
        self._woken = False

    def launch(self, request: LaunchRequest) -> Handle:
        """The attempt, with the claim that its keeper would have made, if nothing comes between."""
        self._hold_against_truth(request)
        self._die_sometimes(0.01, "killed before a launch")
        if self._chance.random() < 0.01 and not self.over:
            self.counts["launch failed"] += 1
            for descriptor in request.held:
                os.close(descriptor)
            raise OSError("no keeper could be started")
        handle = super().launch(request)
        claim = {"pid": handle.pid, "start_time": 1, "boot_id": handle.boot_id, "token": request.token}
        request.claim_file.parent.mkdir(parents=True, exist_ok=True)
        with request.claim_file.open("x") as file:
            json.dump(claim, file)
        self._runs.append(Run(job_of(request), self._gpus(request), request.token, handle))
        self.counts["launched"] += 1
        self._die_sometimes(0.01, "killed after a launch")
        return handle

    def wait(self, handles: Collection[Handle], timeout_s: float | None) -> frozenset[Handle]:
        """Up to four events, then time goes on."""
        self._die_sometimes(0.004, "killed while it waited")
        for _ in range(self._chance.randrange(5)):
            if not self.over:
                self._strike()
        if self.over:
            self.clear()
        return super().wait(handles, timeout_s)

    def fault(self, moment: str) -> None:
        """The hook of the supervisor's fault points: it dies there, or its disk is full."""
        self._die_sometimes(0.002, f"killed {moment}")
        if moment == "before commit" and not self.over and self._chance.random() < 0.003:
            self.counts["disk full"] += 1
            raise OSError(errno.ENOSPC, "no space left")

    def clear(self) -> None:
        """Every GPU is there and nobody else uses one."""
        self.world.survey.looks.clear()
        for lease in self._leases.values():
            lease.close()
        self._leases.clear()

    def truth(self, token: str) -> int | None:
        """How the attempt with that token really ended."""
        return next(self._attempts[run.handle].returncode for run in self._runs if run.token == token)

    def was_launched(self, token: str) -> bool:
        """Whether an attempt with that token ever ran."""
        return any(run.token == token for run in self._runs)

    @property
    def living(self) -> list[Run]:
        """The attempts of which something lives now."""
        return [run for run in self._runs if self.clock.now < self._gone_at(run)]

    def _gone_at(self, run: Run) -> float:
        attempt = self._attempts[run.handle]
        return attempt.ends_at + (attempt.act.strays_s if attempt.returncode is None else 0.0)

    def _hold_against_truth(self, request: LaunchRequest) -> None:
        """Everything that a launch must not do, by what this model knows itself."""
        job, gpus, now, living = job_of(request), self._gpus(request), self.clock.now, self.living
        before = [run for run in self._runs if run.job == job]
        rules = {
            "no GPU was given": not gpus,
            "a launch after the person said stop": self._forbidden.all,
            "a stopped job was launched": job in self._forbidden.jobs,
            "the job runs already": any(run.job == job for run in living),
            "a GPU is held by another job": any(set(run.gpus) & set(gpus) for run in living),
            "a GPU is another project's": any(uuid in self._leases for uuid in gpus),
            "a GPU is used by a stranger or gone": any(uuid in self.world.survey.looks for uuid in gpus),
            "a job that had succeeded was launched": any(self.truth(run.token) == 0 for run in before),
            "a job was tried too often": len(before) > RETRIES,
            "no back-off": any(now < self._gone_at(run) + LEAST_BACK_OFF_S - 1e-6 for run in before),
        }
        self.breaches += [f"{what}: {job} on {gpus} at {now:.2f}" for what, broken in rules.items() if broken]

    def _gpus(self, request: LaunchRequest) -> tuple[str, ...]:
        """What the job sees: named by UUID, or by a number."""
        visible = request.env["CUDA_VISIBLE_DEVICES"].split(",")
        known = {name: gpu.uuid for gpu in self.world.gpus for name in (str(gpu.index), gpu.uuid)}
        return tuple(known[name] for name in visible if name)

    def _act(self, request: LaunchRequest) -> Act:
        """What becomes of an attempt."""
        on_term_s = self._chance.choice((0.0, 1.0, 8.0, None))
        lasts = self._chance.uniform(0.2, 15.0)
        if self.over:
            return Act(duration_s=lasts, on_end=self.world.logs)
        kind = self._chance.choices(("trains", "crashes", "preempted", "vanishes", "hangs"), (60, 10, 10, 12, 3))[0]
        self.counts[kind] += 1
        match kind:
            case "trains":
                return Act(duration_s=lasts, on_term_s=on_term_s, on_end=self._trained)
            case "crashes":
                return Act(duration_s=lasts, on_term_s=on_term_s, returncode=1, inner="ValueError: no")
            case "preempted":
                return Act(duration_s=lasts, on_term_s=on_term_s, returncode=143)
            case "vanishes":
                strays_s = self._chance.choice((0.0, 3.0, 12.0))
                return Act(duration_s=lasts, on_term_s=None, vanishes=True, strays_s=strays_s)
            case _:
                return Act(duration_s=FOREVER_S, on_term_s=on_term_s)

    def _trained(self, request: LaunchRequest) -> None:
        """A history for those that came to their end; one that was stopped leaves none."""
        if self.truth(request.token) == 0:
            self.world.logs(request)

    def _strike(self) -> None:
        """One event."""
        gpu = self._chance.choice(self.world.gpus)
        strikes = {
            "stranger": 30,
            "nothing there": 45,
            "gpu lost": 2,
            "leased away": 20,
            "lease back": 25,
            "stop job": 1,
            "ctrl-c": 0.15,
            "stop study": 0.15,
        }
        kind = self._chance.choices(list(strikes), list(strikes.values()))[0]
        self.counts[kind] += 1
        match kind:
            case "stranger":
                self.world.survey.looks[gpu.uuid] = Look(processes=(STRANGER,))
            case "nothing there":
                self.world.survey.looks.pop(gpu.uuid, None)
            case "gpu lost":
                self._lose(gpu)
            case "leased away":
                self._lease_away(gpu)
            case "lease back":
                lease = self._leases.pop(gpu.uuid, None)
                if lease is not None:
                    lease.close()
            case "stop job":
                self._stop_a_job()
            case "ctrl-c":
                self._forbidden.all = True
                for _ in range(self._chance.choice((1, 1, 2, 3))):
                    os.kill(os.getpid(), signal.SIGINT)
            case "stop study":
                self._forbidden.all = True
                self._ask({"job": None, "drain": self._chance.random() < 0.3, "kill": self._chance.random() < 0.3})

    def _lose(self, gpu: Gpu) -> None:
        """The GPU falls off the bus, and what ran on it with it."""
        self.world.survey.looks[gpu.uuid] = Look(lost="it fell off the bus")
        for run in self.living:
            if gpu.uuid in run.gpus and self._attempts[run.handle].ends_at > self.clock.now:
                attempt = self._attempts[run.handle]
                attempt.ends_at, attempt.returncode, attempt.inner = self.clock.now, 1, "RuntimeError: CUDA error"

    def _lease_away(self, gpu: Gpu) -> None:
        """Another project takes the GPU, unless one of ours or of its own holds it."""
        owner = Owner(study="theirs", ledger="/elsewhere", pid=1, since=self.clock.now)
        lease = lease_gpu(self.world.root / "leases", gpu, owner) if gpu.uuid not in self._leases else None
        if isinstance(lease, GpuLease):
            self._leases[gpu.uuid] = lease

    def _stop_a_job(self) -> None:
        """`stop` for any job that has not ended."""
        job = self._chance.choice(self.world.open_jobs() or [None])
        if job is not None:
            self._forbidden.jobs.add(job.name)
            self._ask({"job": job.id, "kill": self._chance.random() < 0.3})

    def _ask(self, payload: dict[str, object]) -> None:
        with closing(Requests.connect(self.world.ledger_file, self.clock)) as requests:
            requests.add(STUDY, "stop", {"by": "the storm", **payload})  # type: ignore[dict-item] # all JSON

    def _die_sometimes(self, share: float, how: str) -> None:
        if not self.over and self._chance.random() < share:
            self.counts[how] += 1
            raise KilledError


class StormWorld(World):
    """A world whose supervisors run into the storm's fault points."""

    storm: Storm

    @property
    def ledger_file(self) -> Path:
        """The truth, by the ledger."""
        return self.root / "outputs/ledger.sqlite3"

    def around(self) -> Surroundings:
        """The world's own, with the storm at its fault points."""
        return replace(World.around(self), fault=self.storm.fault)

    def open_jobs(self) -> list[Job]:
        """The jobs that are queued or run."""
        with closing(Reading.open(self.ledger_file)) as reading:
            loop = reading.unfinished_loop(STUDY)
            if loop is None:
                return []
            snapshot = reading.snapshot(STUDY, loop.number, 20)
        return [*snapshot.active, *snapshot.queue]


def job_of(request: LaunchRequest) -> str:
    """The job's folder, which is its own in the whole project; further attempts have a suffix."""
    folder = next(word.partition("=")[2] for word in request.argv if word.startswith("--output_dir="))
    return folder.removesuffix(".a2").removesuffix(".a3")
