"""A night in which much goes wrong, as the ledger would tell it: every class of aftermath once."""

from auto_loop.domain.config import Config
from auto_loop.domain.event import Event
from auto_loop.domain.failure import Failure
from auto_loop.domain.history import History, SilenceRecord
from auto_loop.domain.job import Attempt, Job, JobId, JobState, Origin, Outcome, StopCause, StopIntent
from auto_loop.domain.proposal import Silence
from auto_loop.domain.study import Loop, Study
from tests.reporting.night import KEY, NIGHT, ROOT, attempt, job, summary

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
GOING_ON = "`auto-loop autorun --resume --study act_ot --exec` goes on with it"
UNDRIVEN = f"nobody drives the study: its supervisor left; {GOING_ON}"
LOG = f"said\n{KEY}\nlast\n"


def failed(of: int, start: float, failure: Failure, cause: str, **more: object) -> Attempt:
    name = str(more.pop("name", f"j{of}"))
    outcome = Outcome.LOST if failure is Failure.LOST else Outcome.FAILED
    plain = {"outcome": outcome, "returncode": 1, "failure": failure, "cause": cause, "log_tail": LOG}
    return attempt(of, NIGHT + start, 20.0, name, **{**plain, **more})  # type: ignore[arg-type] # fields of Attempt


def stop(at: float, cause: StopCause, text: str) -> StopIntent:
    return StopIntent(at=NIGHT + at, cause=cause, text=text, grace_s=30.0)


def sized(number: int, size: int, attempts: tuple[Attempt, ...], **more: object) -> Job:
    plain = {"config": Config.of({"steps": 500, "batch_size": size})}
    return job(number, NIGHT, 1, f"j{number}", attempts, **{**plain, **more})


def remedy(parent: int) -> Origin:
    return Origin(
        parent=JobId(parent),
        parent_cfg=f"{ROOT}/train_configs/j{parent}.json",
        proposer="remedy",
        rule="remedy: out of memory",
        reason="half the batch",
        changes=("batch_size@mul=0.5",),
    )


def troubled() -> History:
    jobs = _jobs()
    ended = {each.id: each for each in jobs if each.outcome is Outcome.SUCCEEDED}
    return History(
        study=Study(name="act_ot", pack="act_ot", profile="act_ot", created_at=NIGHT),
        loops=(Loop(study="act_ot", number=NIGHT, flags={"decide": True, "rounds": 3}, started_at=float(NIGHT)),),
        jobs=jobs,
        summaries={number: summary(each, (0.5, 0.3, 0.3), (0.6, 0.8)) for number, each in ended.items()},
        silences=(
            SilenceRecord(
                loop=NIGHT, round=1, silence=Silence(parent=JobId(1), cause="replaced", detail="j8 took its place")
            ),
        ),
    )


def _jobs() -> tuple[Job, ...]:
    lost = failed(2, 5.0, Failure.LOST, "nobody saw how it ended")
    again = attempt(2, NIGHT + 35.0, 90.0, "j2", number=2, output_dir=lost.output_dir)
    hung = stop(905.0, StopCause.START_TIMEOUT, "neither a metric nor a line of log for 900 s (--start-timeout)")
    asked = stop(60.0, StopCause.PERSON, f"stopped by ann@box WANDB_API_KEY={KEY}")
    never = attempt(5, NIGHT + 3.0, 1.0, "j5", outcome=Outcome.CANCELLED, started_at=None, cause="it never started")
    return (
        sized(1, 32, (failed(1, 5.0, Failure.OUT_OF_MEMORY, OOM),), outcome=Outcome.FAILED),
        sized(2, 8, (lost, again)),
        sized(
            3,
            8,
            (
                failed(3, 5.0, Failure.TRANSIENT, "OSError: [Errno 98] Address already in use"),
                failed(3, 35.0, Failure.HANG, hung.text, number=2, stop=hung, ended_at=NIGHT + 906.0),
            ),
            state=JobState.QUEUED,
            outcome=None,
            not_before=NIGHT + 926.0,
        ),
        sized(
            4,
            8,
            (attempt(4, NIGHT + 5.0, 58.0, "j4", outcome=Outcome.STOPPED, cause=asked.text, stop=asked),),
            outcome=Outcome.STOPPED,
        ),
        sized(5, 8, (never, attempt(5, NIGHT + 6.0, 90.0, "j5", number=2))),
        sized(6, 8, (), outcome=Outcome.CANCELLED, cause="withdrawn by ann@box"),
        sized(7, 8, (failed(7, 5.0, Failure.CONFIG_REFUSED, "SystemExit: 2"),), outcome=Outcome.FAILED),
        sized(8, 16, (attempt(8, NIGHT + 40.0, 90.0, "j8"),), origin=remedy(1)),
    )


def events() -> tuple[Event, ...]:
    refused = "a config that the trainer refused is never tried again"
    busy = "GPU 3 is used by process 991 (python, 12 GB), which is none of ours"
    blocked = {"slot": 1, "where": "GPU 3", "cause": busy}
    return (
        Event(kind="job settled", at=NIGHT + 25.0, study="act_ot", loop=NIGHT, job=JobId(7), detail={"text": refused}),
        Event(kind="slot blocked", at=NIGHT + 30.0, study="act_ot", loop=NIGHT, detail=blocked),
        Event(kind="slot blocked", at=NIGHT + 60.0, study="act_ot", loop=NIGHT, detail=blocked),
    )
