"""How an attempt's end is judged: its outcome, the class of its failure, and its cause in words. Pure.

The inner cause (what was raised inside the trainer) speaks before the log's last lines, and both before the exit
code: `accelerate launch` turns every failure into exit code 1.
"""

import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Ending, Exit, Outcome, StopCause, StopIntent
from auto_loop.domain.secrets import masked
from auto_loop.launch.profile import FailurePattern

MISUSE = 2  # what argparse, draccus and the trainers that come with us leave with when they refuse a config

_ASKED_FOR = frozenset({StopCause.PERSON, StopCause.JOB_TIMEOUT, StopCause.MAX_HOURS, StopCause.RULE})
_AT_START = frozenset({Failure.CONFIG_REFUSED, Failure.CRASH_AT_START})
# The launcher's own OSError, and a keeper that could not claim its attempt: no command has run.
_NEVER_BEGAN = ("could not be started", "its keeper could not")
# These come from someone else; by the others (SIGSEGV, SIGABRT, SIGBUS, ...) a program ends through its own fault.
_FROM_OUTSIDE = frozenset(
    {"SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGPWR", "SIGXCPU"}
)
_SHELL_OFFSET = 128  # a shell, and Python's own clean end on SIGTERM, leave with 128 + the signal's number
# How the log names the signal that ended a trainer whose launcher leaves with 1: in accelerate's and torchrun's words.
_SIGNAL_IN_LOG = re.compile(r"died with <Signals\.(SIG\w+): \d+>|Signal \d+ \((SIG\w+)\) received by PID")
# Python's own, where faulthandler is on (PYTHONFAULTHANDLER=1).
_FATAL_IN_LOG = re.compile(r"^(?:\[rank\d+\]: *)?Fatal Python error: (.+)$", re.MULTILINE)
_FATAL = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Illegal instruction": "SIGILL",
    "Floating-point exception": "SIGFPE",
    "Floating point exception": "SIGFPE",
}
_LAUNCHER_SPEAKS = re.compile(r"\b(?:CalledProcessError|ChildFailedError)\b")
_TRACEBACK = "Traceback (most recent call last)"
_BARE_EXIT = re.compile(r"SystemExit(?:: -?\d+)?")
_LINE_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What a run's history tells of it: its `last_step` (None: no metric was logged) of the `steps` that were wanted.

    `not_finite`: the newest value of a metric that training goes by was nan or infinite.
    """

    last_step: int | None = None
    steps: int = 0
    not_finite: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the history reaches the last step."""
        return self.last_step is not None and 0 < self.steps <= self.last_step


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an attempt beside its exit: the end of its log, what it logged, and the intent to stop it.

    `gpu_lost`: one of its GPUs does not answer any more.
    """

    log_tail: str = ""
    logged: Logged = Logged()
    stop: StopIntent | None = None
    gpu_lost: bool = False


def ending(exit_seen: Exit, known: Known, patterns: Sequence[FailurePattern], secrets: tuple[str, ...] = ()) -> Ending:
    """The judged end of an attempt.

    A clean exit after a request to stop is STOPPED, not SUCCEEDED; what had ended before it was asked is judged by
    itself. An exit that nobody saw is LOST. The log's last lines are kept for what did not go well only. `secrets`, and
    whatever looks like one, are masked in cause and log: both go into the ledger.
    """
    outcome, failure, cause = _judged(exit_seen, known, patterns)
    return Ending(
        ended_at=exit_seen.ended_at,
        outcome=outcome,
        failure=failure,
        returncode=exit_seen.returncode,
        cause=masked(cause, secrets),
        log_tail="" if outcome is Outcome.SUCCEEDED else masked(known.log_tail, secrets),
    )


def _judged(exit_seen: Exit, known: Known, patterns: Sequence[FailurePattern]) -> tuple[Outcome, Failure | None, str]:
    # What a trainer left behind (an upload, a daemon) may be stopped long after the trainer had done its work.
    ended_at = exit_seen.ended_at if exit_seen.leader_ended_at is None else exit_seen.leader_ended_at
    stop = known.stop if known.stop is not None and known.stop.at <= ended_at else None
    if stop is not None and stop.cause in _ASKED_FOR:
        return Outcome.STOPPED, None, stop.text
    if stop is not None:
        return Outcome.FAILED, Failure.HANG, stop.text
    if exit_seen.returncode is None and not exit_seen.error.startswith(_NEVER_BEGAN):
        return Outcome.LOST, Failure.LOST, exit_seen.error or "nobody saw how it ended"
    if exit_seen.returncode == 0 and not exit_seen.error:
        return Outcome.SUCCEEDED, None, ""
    failure, line = _failure(exit_seen, known, patterns)
    return Outcome.FAILED, failure, _cause(exit_seen, known.log_tail, line)


def _failure(exit_seen: Exit, known: Known, patterns: Sequence[FailurePattern]) -> tuple[Failure, str]:
    """The class, and the line of the log that told it, if it was one."""
    begun = known.logged.last_step is not None
    for found, line in _told(exit_seen, known.log_tail, patterns):
        if not (begun and found in _AT_START):
            return found, line
    if exit_seen.error.startswith(_NEVER_BEGAN):
        return Failure.TRANSIENT, ""
    if known.gpu_lost:
        return Failure.GPU_LOST, ""
    if _from_outside(exit_seen, known.log_tail):
        return Failure.PREEMPTED, ""
    if not begun:
        refused = exit_seen.returncode == MISUSE or exit_seen.inner == f"SystemExit: {MISUSE}"
        return Failure.CONFIG_REFUSED if refused else Failure.CRASH_AT_START, ""
    return Failure.NOT_FINITE if known.logged.not_finite else Failure.CRASH, ""


def _told(exit_seen: Exit, log_tail: str, patterns: Sequence[FailurePattern]) -> Iterator[tuple[Failure, str]]:
    """What the patterns find, by the texts in order of their weight and then by the patterns' own order."""
    for text, is_log in ((exit_seen.error, False), (exit_seen.inner, False), (log_tail, True)):
        for one in patterns:
            if text and (hit := one.pattern.search(text)):
                yield one.failure, _line_of(text, hit.start()) if is_log else ""


def _line_of(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : None if end < 0 else end].strip()[:_LINE_LIMIT]


def _from_outside(exit_seen: Exit, log_tail: str) -> bool:
    """Whether someone else ended it: by a signal, or, by what is missing, so that Python had no time to say a word."""
    name = _signal_of(exit_seen, log_tail)
    if name:
        return name in _FROM_OUTSIDE
    if exit_seen.inner.startswith("KeyboardInterrupt"):
        return True
    return _says_nothing(exit_seen, log_tail)


def _signal_of(exit_seen: Exit, log_tail: str) -> str:
    """The name of the signal that ended it, from the code, the inner cause or the launcher's words; "" for none."""
    code = exit_seen.returncode or 0
    if exit_seen.error:
        return ""
    if exit_seen.inner:
        said = re.fullmatch(r"ended by (SIG\w+)", exit_seen.inner)
        return said[1] if said else ""
    if code < 0:
        return _signal_name(-code)
    if code > _SHELL_OFFSET and code - _SHELL_OFFSET in set(signal.Signals):
        return _signal_name(code - _SHELL_OFFSET)
    if fatal := _FATAL_IN_LOG.findall(log_tail):
        return _FATAL.get(fatal[-1].strip(), "SIGABRT")  # after any other fatal error Python aborts
    named = _SIGNAL_IN_LOG.findall(log_tail)  # the last counts: the trainer may have survived what earlier ones ended
    return next(filter(None, named[-1])) if named else ""


def _says_nothing(exit_seen: Exit, log_tail: str) -> bool:
    """Exit code 1 and no inner cause: the runner leaves one for every end inside Python, so it came from outside.

    Unless the launcher itself broke down with a traceback of its own, before there was a runner.
    """
    if exit_seen.returncode != 1 or exit_seen.inner or exit_seen.error:
        return False
    return _TRACEBACK not in log_tail or _LAUNCHER_SPEAKS.search(log_tail) is not None


def _cause(exit_seen: Exit, log_tail: str, line: str) -> str:
    """What is known, in words; a bare exit code gives way to the line of the log that told the class."""
    if exit_seen.error:
        return exit_seen.error
    if exit_seen.inner and not (line and _BARE_EXIT.fullmatch(exit_seen.inner)):
        return exit_seen.inner
    return line or _cause_by_code(exit_seen, log_tail)


def _cause_by_code(exit_seen: Exit, log_tail: str) -> str:
    name, code = _signal_of(exit_seen, log_tail), exit_seen.returncode
    if name == "SIGKILL":
        return "killed by SIGKILL: by someone, or by the kernel for want of memory"
    if name:
        return f"killed by {name}" if code is not None and code < 0 else f"ended by {name}"
    if _says_nothing(exit_seen, log_tail):
        return "exit code 1 and no cause from inside: the trainer was killed (out of memory?) or the disk is full"
    return f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
