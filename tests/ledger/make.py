"""Small real ledgers for the tests, and the values to put into them."""

from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.config import Config
from auto_loop.domain.event import Event
from auto_loop.domain.failure import Failure
from auto_loop.domain.job import (
    AttemptId,
    Ending,
    Handle,
    JobId,
    NewAttempt,
    NewJob,
    Origin,
    Outcome,
    StopCause,
    StopIntent,
)
from auto_loop.domain.series import Source
from auto_loop.domain.slot import SlotState
from auto_loop.domain.study import Supervisor
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.ledger.ledger import Ledger

STUDY, LOOP = "act_ot", 1_700_000_000


@dataclass
class Ticks:
    """A clock that goes one second further at each look."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def open_ledger(file: Path) -> Ledger:
    return Ledger.open(file, Ticks())


def open_study(file: Path) -> Ledger:
    """A ledger with one study and one open loop."""
    ledger = open_ledger(file)
    ledger.ensure_study(STUDY, "act_ot", "act_ot")
    ledger.open_loop(STUDY, LOOP, {"rounds": 3, "decide": True})
    return ledger


def new_job(name: str, round: int = 1, origin: Origin | None = None, loop: int = LOOP) -> NewJob:
    return NewJob(
        study=STUDY,
        loop=loop,
        round=round,
        name=name,
        cfg_file=f"train_configs/{name}.json",
        config=Config.of({"name": name, "ot": {"reg": 0.1, "tau_src": 1.0}, "steps": 500}),
        output_dir=f"outputs/train/loop_{loop}/{name}",
        origin=origin or Origin(),
    )


def new_attempt(job: JobId, slot: int = 0) -> NewAttempt:
    return NewAttempt(
        job=job,
        slot=slot,
        token=f"token-{job}-{slot}",
        command=("accelerate", "launch", "train.py", f"--seed={job}"),
        output_dir=f"outputs/train/{job}",
        log_file=f".codex_tmp/slot{slot}_{job}.log",
        claim_file=f".codex_tmp/attempts/{job}.claim",
        exit_file=f".codex_tmp/attempts/{job}.exit",
        gpus=(f"GPU-{slot}",),
        request={"argv": ["accelerate", "launch"], "env": {"CUDA_VISIBLE_DEVICES": str(slot)}},
    )


HANDLE = Handle(launcher="local", pid=4321, start_time=987_654, boot_id="b00t", reference="")


def ending(outcome: Outcome = Outcome.SUCCEEDED, at: float = 1_700_000_900.0, failure: Failure | None = None) -> Ending:
    if outcome is Outcome.SUCCEEDED:
        return Ending(ended_at=at, outcome=outcome, returncode=0, log_tail="step 500\n")
    cause, tail = "OutOfMemoryError", "Traceback\n"
    return Ending(ended_at=at, outcome=outcome, failure=failure, returncode=1, cause=cause, log_tail=tail)


def stop_intent(cause: StopCause = StopCause.PERSON, text: str = "asked by a person: “enough”") -> StopIntent:
    return StopIntent(at=1_700_000_800.5, cause=cause, text=text, grace_s=30.0)


def supervisor(study: str = STUDY, pid: int = 77) -> Supervisor:
    return Supervisor(
        study=study, host="node1", boot_id="b00t", pid=pid, start_time=123_456, since=1_700_000_001.5, ended_at=None
    )


def slot_state(index: int, cause: str = "") -> SlotState:
    return SlotState(
        index=index,
        place=f"GPU {index}",
        gpus=(f"GPU-{index}",),
        numbers=(index,),
        cause=cause,
        since=1_700_000_002.5,
    )


def stats(first: float | None, last: float | None) -> MetricStats:
    delta = None if first is None or last is None else last - first
    return MetricStats(
        first=first,
        last=last,
        best=last,
        best_step=500,
        delta=delta,
        pct=None if not first or delta is None else 100 * delta / abs(first),
        n=2,
        nan_count=1,
        source=Source.MIRROR,
    )


def summary(job: str = "base", metrics: int = 2) -> Summary:
    return Summary(
        run_dir=f"outputs/train/{job}",
        config_file=f"train_configs/{job}.json",
        wandb_url="https://wandb.example/run",
        metrics={f"train/metric_{number}": stats(1.5, 0.25 * number) for number in range(metrics)},
        notes=("a torn last line",),
    )


def event(kind: str, job: JobId | None = None) -> Event:
    return Event(kind=kind, at=1_700_000_500.0, study=STUDY, loop=LOOP, job=job, detail={"slot": 0})


def run_attempt(ledger: Ledger, job: JobId, slot: int = 0) -> AttemptId:
    """An attempt of a queued job, running."""
    attempt = ledger.start_attempt(new_attempt(job, slot))
    ledger.mark_running(attempt, HANDLE, 1_700_000_100.0)
    return attempt
