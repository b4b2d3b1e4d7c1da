"""What can be wrong, said in one form: what, where, and what to do next.

A misuse is an exception and carries *all* faults that were found, so that a user mends a call once.
Findings about a run (a failed job, a refused proposal) are values elsewhere, never exceptions.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    `where` names the place (a file, an option, a line); `pointer` is a ready-made two-line excerpt with
    `~~~^` under the place, for the text languages; `hint` says what to do next.
    """

    what: str
    where: str = ""
    pointer: str = ""
    hint: str = ""

    def render(self) -> str:
        """The fault as one line, followed by the pointer's lines when there is one."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        if self.hint:
            head = f"{head} ({self.hint})"
        return f"{head}\n{self.pointer}" if self.pointer else head


class AutoLoopError(Exception):
    """The base of all errors raised on purpose; `faults` holds every one that was found."""

    exit_code = 1

    def __init__(self, faults: Fault | str | Iterable[Fault]) -> None:
        if isinstance(faults, str):
            faults = Fault(what=faults)
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(fault.render() for fault in self.faults))


class MisuseError(AutoLoopError):
    """The call itself is wrong: a broken config, an unknown option, a wrong edit. Exit code 2."""

    exit_code = 2


class RefusedError(AutoLoopError):
    """The call is well formed but may not run: no such GPU, a held lease, no W&B key. Exit code 3."""

    exit_code = 3


class DiskFullError(AutoLoopError):
    """The ledger's disk is full: the last change was not written, everything before it is safe. Room heals it."""


def pointer(text: str, start: int, end: int) -> str:
    """Two indented lines: `text`, and `~~~^` under its characters `start` (included) to `end` (excluded).

    The caret stands under the last character of the place; an empty place gets the caret alone.
    """
    width = max(end - start, 1)
    return f"    {text}\n    {' ' * start}{'~' * (width - 1)}^"
