"""`wait`: until nobody drives a study any more; then how its newest loop stands."""

import math
import os
import select
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from auto_loop.assembly.named_files import ledger_file
from auto_loop.assembly.supervisors import Here, Standing, standing, undriven
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.assembly.why import check_study
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.errors import Fault, RefusedError
from auto_loop.domain.job import Outcome
from auto_loop.domain.study import Loop, Supervisor
from auto_loop.launch import processes
from auto_loop.ledger.reading import Reading
from auto_loop.loop.causes import listed

DONE, WITH_FAILURES, UNFINISHED, TIMED_OUT = 0, 1, 130, 124
# A supervisor elsewhere has no pidfd here: its row is all that tells, and is looked at this often.
_LOOK_S = 5.0
# Here it is looked at again as well: a program may have left the study without ending.
_LOOK_AGAIN_S = 60.0
# One that has said goodbye still has its report drawn; a program that goes on after its loop is not waited for longer.
_FAREWELL_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCall:
    """Which study to wait for. `timeout` in seconds: None waits for ever, 0 only looks."""

    study: str
    timeout: float | None = None
    ledger: str | None = None


def run_wait(call: WaitCall, say: Callable[[str], None], around: Surroundings | None = None) -> int:
    """Wait, print one line, and give the exit code. RefusedError when there is no such study."""
    around = around or Surroundings.here()
    with closing(Reading.open(ledger_file(AutorunCall(ledger=call.ledger), around))) as reading:
        check_study(reading, call.study)
        driver = wait_for_end(reading, call.study, call.timeout)
        text, code = still_driven(call.study, driver) if driver is not None else verdict(reading, call.study)
    say(text)
    return code


def wait_for_end(reading: Reading, study: str, timeout: float | None) -> Supervisor | None:
    """None as soon as nobody drives the study; who does when `timeout` seconds (None: no limit) are over."""
    here, deadline = Here.now(), math.inf if timeout is None else time.monotonic() + timeout
    while True:
        supervisor = reading.supervisor(study)
        left = max(0.0, deadline - time.monotonic())
        match standing(supervisor, here):
            case Standing.LEFT if supervisor is not None and supervisor.boot_id == here.boot_id:
                ended(supervisor, min(left, _FAREWELL_S))
                return None
            case Standing.NEVER | Standing.GONE | Standing.LEFT:
                return None
            case _ if left == 0.0:
                return supervisor
            case Standing.ALIVE if supervisor is not None:
                ended(supervisor, min(left, _LOOK_AGAIN_S))
            case _:
                time.sleep(min(left, _LOOK_S))


def ended(supervisor: Supervisor, timeout: float) -> bool:
    """Whether the supervisor's process has ended, after at most `timeout` seconds."""
    try:
        descriptor = os.pidfd_open(supervisor.pid)
    except ProcessLookupError:
        return True
    try:
        # Looked at with the descriptor in hand: from here on the number cannot become another process's.
        found = processes.process(supervisor.pid)
        if found is None or found.ended or found.start_time != supervisor.start_time:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(descriptor)


def verdict(reading: Reading, study: str) -> tuple[str, int]:
    """How the newest loop of a study that nobody drives stands, as a line and as an exit code."""
    loops = reading.loops(study)
    if not loops:
        raise RefusedError(Fault(what=f"study {study} has no loop", hint="start one with `auto-loop autorun`"))
    loop = loops[-1]
    if loop.ended_at is None:
        nobody = undriven(study, reading.supervisor(study), Here.now())
        return f"Study {study}: loop {loop.number} is unfinished, and {nobody}.", UNFINISHED
    return _finished(loop, len(reading.outcomes(loop.number)), failed_jobs(reading, loop.number))


def _finished(loop: Loop, jobs: int, failed: list[str]) -> tuple[str, int]:
    how = f"failed: {listed(failed)}" if failed else "none failed"
    count = f"{jobs} job{'' if jobs == 1 else 's'}"
    text = f"Study {loop.study}: loop {loop.number} is finished ({loop.end_reason}); {count}, {how}."
    return text, WITH_FAILURES if failed else DONE


def still_driven(study: str, driver: Supervisor) -> tuple[str, int]:
    """That the time is over, and who still drives the study."""
    return f"Study {study} is still driven by process {driver.pid} on {driver.host}.", TIMED_OUT


def failed_jobs(reading: Reading, loop: int) -> list[str]:
    """The names of a loop's jobs that failed or were lost, and whose place no remedied job has taken."""
    replaced = reading.replaced(loop)
    ended = reading.outcomes(loop)
    return [n for n, outcome in ended.items() if outcome in (Outcome.FAILED, Outcome.LOST) and n not in replaced]
