"""A ledger with a past: an unfinished loop in which thousands of jobs are done and some are queued, to be resumed."""

import time
from pathlib import Path

from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Config
from auto_loop.domain.event import Event
from auto_loop.domain.job import Ending, Handle, JobId, NewAttempt, NewJob, Outcome
from auto_loop.domain.series import Source
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.ledger.ledger import Ledger

LOOP = 1
_LONG_AGO = 1_000_000.0
_STATS = MetricStats(
    first=1.0, last=0.5, best=0.4, best_step=90, delta=-0.5, pct=-50.0, n=100, nan_count=0, source=Source.METRICS
)
_METRICS = {f"train/metric_{number:02}": _STATS for number in range(10)}


def seed(folder: Path, call: AutorunCall, study: str, done: int) -> None:
    """Make the ledger of the project in `folder`: `done` jobs in round 1 of a loop of `call`, then its configs queued.

    Every done job has its attempt, its summary of ten metrics and its three events, as the loop leaves them.
    """
    file = folder / "outputs" / "ledger.sqlite3"
    file.parent.mkdir()
    with Ledger.open(file, time.time) as ledger, ledger.transaction():
        ledger.ensure_study(study, "act_ot", "script")
        ledger.open_loop(study, LOOP, call.flags())
        for number in range(done):
            _finish(ledger, _add(ledger, study, f"past{number:05}", Config.of({"lr": -1 - number})), study, number)
        for name in call.cfgs:
            _add(ledger, study, name.removesuffix(".json"), Config((folder / name).read_text()))


def _add(ledger: Ledger, study: str, name: str, config: Config) -> JobId:
    place = {"cfg_file": f"{name}.json", "output_dir": f"outputs/train/loop_{LOOP}/{name}"}
    return ledger.add_job(NewJob(study=study, loop=LOOP, round=1, name=name, config=config, **place))


def _finish(ledger: Ledger, job: JobId, study: str, number: int) -> None:
    folder, began = f"outputs/train/loop_{LOOP}/past{number:05}", _LONG_AGO + number
    papers = f".codex_tmp/attempts/{number}"
    new = NewAttempt(
        job=job,
        slot=0,
        token=f"token{number}",
        command=("python", "train.py", f"--config_path=past{number:05}.json", f"--output_dir={folder}"),
        output_dir=folder,
        log_file=f"{papers}.log",
        claim_file=f"{papers}.claim",
        exit_file=f"{papers}.exit",
    )
    attempt = ledger.start_attempt(new)
    handle = Handle(launcher="local", pid=1 + number, start_time=1, boot_id="an earlier boot", reference=new.token)
    ledger.mark_running(attempt, handle, began)
    ending = Ending(ended_at=began + 1, outcome=Outcome.SUCCEEDED, returncode=0)
    ledger.finish_attempt(attempt, ending, Summary(run_dir=folder, metrics=_METRICS))
    for kind in ("job started", "job ended"):
        ledger.record_event(Event(kind=kind, at=began, study=study, loop=LOOP, job=job, detail={"slot": 0}))
