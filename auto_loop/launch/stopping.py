"""Ending an attempt's processes: asking the right ones, or killing all of them.

TERM is for the trainers alone, never for what serves them. Their data-loader workers would die of it and take the
trainer down with a traceback, W&B's service would lose what it has not written, and `accelerate launch` would be gone
at once, its exit code with it, while the trainer still saves.
"""

import os
import signal as signals
import time

from auto_loop.launch import processes
from auto_loop.launch.processes import Process

_SCANS = 40  # 40 scans with 5 ms between them: a process that forks as fast as it is killed is left to the next KILL
_PAUSE_S = 0.005


def ask(keeper: int | None, token: str, runner: str) -> bool:
    """SIGTERM to the trainers of an attempt, or while there is none yet to what the keeper started."""
    found = processes.tree(keeper, token)
    trainers = {pid for pid in found if runs(processes.words(pid), runner)}
    # A forked worker has its trainer's command line: the one whose parent has it too is no main process.
    mains = {pid for pid in trainers if found[pid].parent not in trainers}
    if not mains:
        mains = {pid for pid, one in found.items() if one.parent == keeper or one.parent not in found}
    sent = [send(found[pid], signals.SIGTERM) for pid in sorted(mains)]
    return any(sent)


def runs(words: tuple[str, ...], runner: str) -> bool:
    """Whether a command line is Python with flags alone before the runner: not a launcher that will start it."""
    if runner not in words:
        return False
    before = words[1 : words.index(runner)]
    return all(word.startswith("-") for word in before)


def kill(keeper: int | None, token: str) -> bool:
    """SIGKILL to every process of an attempt but its keeper, until two scans find none; True if any was found."""
    any_found, empty = False, 0
    for _ in range(_SCANS):
        found = processes.tree(keeper, token)
        for one in found.values():
            any_found |= send(one, signals.SIGKILL)
        empty = 0 if found else empty + 1
        # A keeper of the first milliseconds has not started its command yet: look longer before believing it.
        if empty >= 2 and (any_found or keeper is None or processes.process(keeper) is None):
            return any_found
        time.sleep(_PAUSE_S)
    return any_found


def send(target: Process, number: int) -> bool:
    """Whether the signal reached this very process: the pidfd is opened first, the start time checked after."""
    try:
        descriptor = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return False
    try:
        seen = processes.process(target.pid)
        if seen is None or seen.start_time != target.start_time:
            return False
        signals.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
