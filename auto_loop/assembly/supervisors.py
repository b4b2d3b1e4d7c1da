"""Who drives a study: whether the process that the ledger names still lives, and what to do when it does not."""

import shlex
import socket
from dataclasses import dataclass
from enum import StrEnum

from auto_loop.domain.study import Supervisor
from auto_loop.launch import processes


class Standing(StrEnum):
    """What became of a study's supervisor."""

    NEVER = "never"
    ALIVE = "alive"
    GONE = "gone"
    LEFT = "left"
    ELSEWHERE = "on another host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """The machine that we are on: pids and start times of another host, or another boot, mean nothing here."""

    host: str
    boot_id: str

    @classmethod
    def now(cls) -> "Here":
        """This one."""
        return cls(host=socket.gethostname(), boot_id=processes.boot_id())


def standing(supervisor: Supervisor | None, here: Here) -> Standing:
    """What became of `supervisor`. One on another host cannot be looked at from here: nobody knows."""
    if supervisor is None:
        return Standing.NEVER
    if supervisor.ended_at is not None:
        return Standing.LEFT
    if supervisor.host != here.host:
        return Standing.ELSEWHERE
    found = processes.process(supervisor.pid) if supervisor.boot_id == here.boot_id else None
    if found is None or found.ended or found.start_time != supervisor.start_time:
        return Standing.GONE
    return Standing.ALIVE


def undriven(study: str, supervisor: Supervisor | None, here: Here) -> str:
    """That nobody drives the study, why, and how to go on; empty when somebody does, or may on another host."""
    match standing(supervisor, here):
        case Standing.ALIVE | Standing.ELSEWHERE:
            return ""
        case Standing.NEVER:
            why = "no supervisor is known"
        case Standing.LEFT:
            why = f"its supervisor{_named(supervisor)} left"
        case Standing.GONE if supervisor is not None and supervisor.boot_id != here.boot_id:
            why = f"its supervisor{_named(supervisor)} ended when the machine was restarted"
        case _:
            why = f"its supervisor{_named(supervisor)} was killed"
    return f"nobody drives the study: {why}; `{going_on(study)}` goes on with it"


def going_on(study: str) -> str:
    """The command that takes an unfinished loop up again."""
    return f"auto-loop autorun --resume --study {shlex.quote(study)} --exec"


def _named(supervisor: Supervisor | None) -> str:
    return f" (process {supervisor.pid})" if supervisor is not None else ""
