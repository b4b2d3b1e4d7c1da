"""How an attempt's exit is judged: its outcome and its cause in words. Pure."""

import signal

from auto_loop.domain.job import Ending, Exit, Outcome
from auto_loop.domain.secrets import masked

# accelerate and python end a clean finish on SIGTERM with this code (128 + 15).
_TERMINATED = 143


def ending(exit_seen: Exit, log_tail: str, *, asked_to_stop: bool, secrets: tuple[str, ...] = ()) -> Ending:
    """The judged end of an attempt.

    A clean exit after a request to stop is STOPPED, not SUCCEEDED; an exit that nobody saw is LOST. The log's last
    lines are kept for what did not go well only. `secrets`, and whatever looks like one, are masked in cause and log:
    both go into the ledger.
    """
    outcome = _outcome(exit_seen, asked_to_stop=asked_to_stop)
    if outcome is Outcome.SUCCEEDED:
        return Ending(ended_at=exit_seen.ended_at, outcome=outcome, returncode=exit_seen.returncode)
    return Ending(
        ended_at=exit_seen.ended_at,
        outcome=outcome,
        returncode=exit_seen.returncode,
        cause="stopped on request" if outcome is Outcome.STOPPED else masked(_cause(exit_seen), secrets),
        log_tail=masked(log_tail, secrets),
    )


def _outcome(exit_seen: Exit, *, asked_to_stop: bool) -> Outcome:
    if exit_seen.returncode is None:
        return Outcome.LOST
    if asked_to_stop:
        return Outcome.STOPPED
    return Outcome.SUCCEEDED if exit_seen.returncode == 0 and not exit_seen.error else Outcome.FAILED


def _cause(exit_seen: Exit) -> str:
    """The inner cause goes before the launcher's own, which turns every failure into exit code 1."""
    if exit_seen.error:
        return exit_seen.error
    if exit_seen.inner:
        return exit_seen.inner
    match exit_seen.returncode:
        case None:
            return "nobody saw how it ended"
        case code if code < 0:
            return f"killed by {_signal_name(-code)}"
        case code if code == _TERMINATED:
            return "ended by SIGTERM"
        case 1:
            # The runner leaves a cause for every end inside Python: this one came from outside, or before it.
            return "exit code 1 and no cause from inside: the trainer was killed (out of memory?) or the disk is full"
        case code:
            return f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
