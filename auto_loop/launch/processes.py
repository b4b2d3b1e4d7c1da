"""Processes as /proc shows them: who lives, since when, whose child it is, and which carry an attempt's token."""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat: `start_time` in clock ticks after boot (field 22), `state` one letter."""

    pid: int
    parent: int
    state: str
    start_time: int

    @property
    def ended(self) -> bool:
        """A zombie, or a process on its last way out, runs nothing any more."""
        return self.state in "ZX"


def process(pid: int) -> Process | None:
    """The process of that number, or None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field, the name, may hold blanks and brackets: the last bracket ends it.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[1]), fields[0].decode(), int(fields[19]))


def all_processes() -> dict[int, Process]:
    """Every process that can be seen now, by its number."""
    found = (process(int(name)) for name in os.listdir(PROC) if name.isdecimal())
    return {one.pid: one for one in found if one is not None}


def boot_id() -> str:
    """The number of this boot: pids and start times mean nothing across two."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def carries(pid: int, token: str) -> bool:
    """Whether the process was started with the attempt's token; False when its environment cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"AUTO_LOOP_TOKEN={token}".encode() in file.read().split(b"\0")
    except OSError:
        return False


def words(pid: int) -> tuple[str, ...]:
    """The command line of a process; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return tuple(os.fsdecode(word) for word in file.read().split(b"\0")[:-1])
    except OSError:
        return ()


def tree(root: int | None, token: str) -> dict[int, Process]:
    """The living processes of an attempt, without `root` itself: its descendants, and all that carry the token.

    Either search alone misses some: a child that cleared its environment has no token, one whose parents are gone
    (after the keeper was killed) no ancestor.
    """
    alive = {pid: one for pid, one in all_processes().items() if not one.ended}
    found = {pid for pid in alive if token and pid != os.getpid() and carries(pid, token)}
    if root is not None:
        found.add(root)
    grown = True
    while grown:
        children = {pid for pid, one in alive.items() if one.parent in found}
        grown = not children <= found
        found |= children
    return {pid: alive[pid] for pid in found if pid in alive and pid != root}
