"""`stop`: asks whoever drives the study, or, when nobody does, ends what still runs of it."""

import os
import pwd
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from auto_loop.assembly.named_files import ledger_file
from auto_loop.assembly.supervisors import going_on
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.assembly.why import check_study, job_asked, no_such
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Json
from auto_loop.domain.errors import Fault, MisuseError, RefusedError
from auto_loop.domain.event import Event
from auto_loop.domain.job import Attempt, Ending, Exit, Job, JobState, StopCause, StopIntent
from auto_loop.domain.request import RequestId
from auto_loop.domain.secrets import secrets_of
from auto_loop.launch import registry
from auto_loop.launch.base import Launcher
from auto_loop.ledger.lease import Lease
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from auto_loop.loop.accounts import end_text
from auto_loop.loop.causes import listed
from auto_loop.loop.endings import Known, ending
from auto_loop.loop.halt import Fate, Means, halt
from auto_loop.workspace.files import tail_text

DONE, NOT_ALL = 0, 1
_ANSWER_S = 10.0
_LOOK_S = 0.1
_LOG_TAIL_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCall:
    """What the person wants to be stopped. `subject` is a job's name or id, or a study's name; `job` and `study` say
    which of the two is meant, or, with a subject, whose job it is. `kill`: without grace; `drain`: let run what runs.
    """

    subject: str | None = None
    job: str | None = None
    study: str | None = None
    kill: bool = False
    drain: bool = False
    ledger: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A study, or one job of it."""

    study: str
    job: Job | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """How to say things, and the launcher (the real one unless a test's)."""

    say: Callable[[str], None] = print
    launcher: Callable[[], Launcher] = lambda: registry.launcher("local")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A target to stop, how, and with what. `away`: its study is driven on another host, as far as is known."""

    target: Target
    call: StopCall
    front: Front
    around: Surroundings
    away: bool

    @property
    def file(self) -> Path:
        """The ledger."""
        return ledger_file(AutorunCall(ledger=self.call.ledger), self.around)

    @property
    def by(self) -> str:
        """Who asks."""
        return who_asks(self.around)


def run_stop(call: StopCall, front: Front, around: Surroundings | None = None) -> int:
    """Stop it, or have it stopped; the exit code."""
    around = around or Surroundings.here()
    if call.kill and call.drain:
        raise MisuseError(Fault(what="--kill and --drain exclude each other", where="--drain"))
    with closing(Reading.open(ledger_file(AutorunCall(ledger=call.ledger), around))) as reading:
        target = target_of(reading, call)
        order = Order(
            target=target, call=call, front=front, around=around, away=_is_away(reading, target.study, around.host)
        )
    if target.job is not None and call.drain:
        raise MisuseError(Fault(what="--drain is for a whole study", where="--drain", hint="a job is just stopped"))
    if target.job is not None and target.job.state is JobState.DONE:
        return _over(order, target.job)
    lease = None if order.away else Lease.take(order.file, target.study)
    return _ask(order) if lease is None else _stop_here(order, lease)


def target_of(reading: Reading, call: StopCall) -> Target:
    """What is meant. MisuseError when nothing is named, or a name is a job's and a study's."""
    word = call.job or call.subject
    if word is None:
        if call.study is None:
            raise MisuseError(Fault(what="what is to be stopped is not said", hint="name a job or a study"))
        check_study(reading, call.study)
        return Target(study=call.study)
    job = job_asked(reading, word, call.study)
    study = reading.study(word) if call.job is None and call.study is None else None
    if job is not None and study is not None:
        hint = f"--study {word} for the study, --job {job.id} for the job"
        raise MisuseError(Fault(what=f"{word} is the name of a study and of a job", hint=hint))
    if study is not None:
        return Target(study=study.name)
    if job is None:
        raise no_such(reading, word, call.study)
    return Target(study=job.study, job=job)


def who_asks(around: Surroundings) -> str:
    """The person at this machine, as others are told."""
    return f"{around.env.get('USER') or around.env.get('LOGNAME') or _account()}@{around.host}"


def _account() -> str:
    """The user's name by the system's own list, which need not have one (in a container)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _is_away(reading: Reading, study: str, host: str) -> bool:
    """Whether the study is driven on another host, as far as is known: locks need not reach there."""
    supervisor = reading.supervisor(study)
    if supervisor is None or supervisor.host == host:
        return False
    if supervisor.ended_at is not None and reading.open_jobs(study):
        what = f"the jobs of study {study} were left running on {supervisor.host}"
        raise RefusedError(Fault(what=what, hint=f"stop them on {supervisor.host}"))
    return supervisor.ended_at is None


def _ask(order: Order) -> int:
    """Ask by a request row and say the answer. A supervisor that is gone before it answers leaves it to us."""
    target, call, say = order.target, order.call, order.front.say
    job = target.job.id if target.job is not None else None
    payload: dict[str, Json] = {"job": job, "kill": call.kill, "drain": call.drain, "by": order.by}
    with closing(Requests.connect(order.file, order.around.clock)) as requests:
        number = requests.add(target.study, "stop", payload)
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            found = requests.get(number)
            if found is not None and found.answered_at is not None:
                # A job's name, which an answer about one begins with, keeps its letters.
                say(f"{found.answer if job is not None else found.answer[:1].upper() + found.answer[1:]}.")
                return DONE
            lease = None if order.away else Lease.take(order.file, target.study)
            if lease is not None:
                return _stop_here(order, lease, number)
            time.sleep(_LOOK_S)
    say(f"Asked for, but the supervisor of study {target.study} has not answered yet (request {number}).")
    say("`auto-loop why` shows what becomes of it.")
    return DONE


def _stop_here(order: Order, lease: Lease, request: RequestId | None = None) -> int:
    """Stop it ourselves, with the lease of its study; `request` was made while somebody else seemed to have it."""
    with lease, Ledger.open(order.file, order.around.clock) as ledger:
        if request is not None and (found := ledger.requests.get(request)) is not None and found.answered_at is None:
            ledger.requests.answer(request, "done by who asked: the supervisor had gone")
        if order.target.job is None:
            return _stop_study(order, ledger)
        job = ledger.reading.job(order.target.job.id)
        assert job is not None  # a job is never deleted
        match job.state:
            case JobState.QUEUED:
                return _withdraw(order, ledger, job)
            case JobState.STARTING | JobState.RUNNING:
                return _halt(order, ledger, (job,))
            case JobState.DONE:
                return _over(order, job)
            case _:
                assert_never(job.state)


def _over(order: Order, job: Job) -> int:
    order.front.say(f"{job.name} is over. {end_text(job, order.around.clock(), None)}.")
    return DONE


def _withdraw(order: Order, ledger: Ledger, job: Job) -> int:
    cause = f"withdrawn by {order.by}"
    at, detail = order.around.clock(), {"job": job.name, "cause": cause}
    event = Event(kind="job withdrawn", at=at, study=job.study, loop=job.loop, job=job.id, detail=detail)
    with ledger.transaction():
        ledger.cancel_job(job.id, cause)
        ledger.record_event(event)
    order.front.say(f"{job.name} was withdrawn from the queue.")
    return DONE


def _stop_study(order: Order, ledger: Ledger) -> int:
    study, say = order.target.study, order.front.say
    running, code = ledger.reading.open_jobs(study), DONE
    names = listed([job.name for job in running])
    if not running:
        say(f"Nothing of study {study} runs, and nobody drives it.")
    elif order.call.drain:
        say(f"Nobody drives study {study}: nothing more is launched, and what runs ({names}) goes on to its end.")
    else:
        code = _halt(order, ledger, running)
    if ledger.reading.unfinished_loop(study) is not None:
        say(f"Its loop is unfinished: `{going_on(study)}` goes on with it.")
    return code


def _halt(order: Order, ledger: Ledger, jobs: Sequence[Job]) -> int:
    """Stop running jobs, and say what became of each."""
    say, clock, one_job = order.front.say, order.around.clock, order.target.job is not None
    grace = 0.0 if order.call.kill else _grace(ledger.reading, jobs[-1])
    how = f"with {grace:g} s of grace" if grace else "without grace"
    say(f"Nobody drives study {order.target.study}: stopping {listed([job.name for job in jobs])} from here, {how}.")
    stop = StopIntent(at=clock(), cause=StopCause.PERSON, text=f"stopped by {order.by}", grace_s=grace)
    with closing(order.front.launcher()) as launcher:
        means = Means(ledger=ledger, launcher=launcher, judge=_judge(order.around), clock=clock)
        fates = halt(means, jobs, stop, for_good=one_job)
    for one in fates:
        say(f"{one.job.name} {_fate_text(one.fate, for_good=one_job)}.")
    return NOT_ALL if any(one.fate is Fate.STILL_THERE for one in fates) else DONE


def _grace(reading: Reading, job: Job) -> float:
    """The grace that the job's loop was started with."""
    loop = reading.loop(job.study, job.loop)
    grace = loop.flags.get("grace") if loop is not None else None
    return float(grace) if isinstance(grace, int | float) else AutorunCall().grace


def _judge(around: Surroundings) -> Callable[[Exit, Attempt], Ending]:
    """How ends are judged that a person asked for: the profile's failure patterns have no say in them."""
    secrets = secrets_of(around.env)

    def judge(seen: Exit, attempt: Attempt) -> Ending:
        tail = tail_text(Path(attempt.log_file), _LOG_TAIL_BYTES)
        return ending(seen, Known(log_tail=tail, stop=attempt.stop), (), secrets)

    return judge


def _fate_text(fate: Fate, *, for_good: bool) -> str:
    match fate:
        case Fate.ENDED:
            return "has stopped"
        case Fate.KILLED:
            return "was killed"
        case Fate.NEVER_RAN:
            return "had not been started, and never will be" if for_good else "had not been started: it is queued again"
        case Fate.OVER_BEFORE:
            return "had ended before: how is read when the study goes on"
        case Fate.STILL_THERE:
            return "cannot be ended: its processes do not die of SIGKILL (a disk that does not answer?)"
        case _:
            assert_never(fate)
