"""The launcher seam: what is asked of a launcher, what it answers, and the four things that it can do."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from auto_loop.domain.job import AttemptId, Exit, Handle


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """One attempt, ready to start, as a value: everything that will run can be printed from it before it runs.

    `env` is the job's whole environment; it can hold secrets, so that it is neither printed nor written to a file.
    `own_env` names the variables that the request itself set, the ones worth showing. `files` (file, text) must lie
    there before the start, and `folders` be made. `held` are open descriptors (a leased port's lock) that `launch`
    takes over: they live on in the keeper, as long as the attempt, and are closed here.
    """

    attempt: AttemptId
    token: str
    argv: tuple[str, ...]
    cwd: Path
    log_file: Path
    claim_file: Path
    exit_file: Path
    inner_file: Path
    request_file: Path
    keeper_python: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    own_env: tuple[str, ...] = ()
    files: tuple[tuple[Path, str], ...] = ()
    folders: tuple[Path, ...] = ()
    held: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The attempt's keeper lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The keeper is gone without a word, and processes of the attempt still live: nobody can say how it will end."""

    pids: tuple[int, ...] = ()


Status: TypeAlias = Running | Exit | Unknown

# Hears "before launch" and "after launch", where a crash test ends the process.
LaunchHook: TypeAlias = Callable[[str], None]


def no_fault(_: str) -> None:
    """The hook of whoever tests no crash."""


class Signal(StrEnum):
    """TERM asks the trainer to finish cleanly; KILL ends every process of the attempt."""

    TERM = "TERM"
    KILL = "KILL"


class Launcher(Protocol):
    """Starts attempts somewhere and sees them end. One instance serves one supervisor, from one thread."""

    @property
    def name(self) -> str:
        """The launcher's name in the registry and in every `Handle` that it gives."""

    def launch(self, request: LaunchRequest) -> Handle:
        """The started attempt's handle, at once; OSError when it could not be started."""

    def poll(self, handle: Handle, exit_file: Path) -> Status:
        """Where the attempt stands now; works for attempts that an earlier supervisor launched, too."""

    def wait(self, handles: Collection[Handle], timeout_s: float | None) -> frozenset[Handle]:
        """Those of `handles` worth a poll, as soon as there is one; empty after `timeout_s` or a `wake()`."""

    def wake(self) -> None:
        """Makes a `wait` that is under way return; safe from a signal handler or another thread."""

    def signal(self, handle: Handle, signal: Signal) -> bool:
        """Whether anything was there to be signalled."""

    def prepare(self) -> None:
        """Does ahead what makes the next launch quicker; for an idle moment."""

    def close(self) -> None:
        """Lets go of what the launcher itself holds; running attempts go on."""
