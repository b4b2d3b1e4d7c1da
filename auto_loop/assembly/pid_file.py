"""The supervisor's pid in a file, for those who look after processes by their numbers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.workspace.files import write_aside

_LONGEST = 32


def check_pid_file(file: Path | None, named: str | None) -> None:
    """MisuseError when something is there that no supervisor wrote: it would be lost. `named` is how it was given."""
    if file is None or not file.exists():
        return
    if not file.is_file():
        raise MisuseError(Fault(what=f"{named} is no file", where="--pid-file", hint="name a file"))
    with file.open("rb") as old:
        text = old.read(_LONGEST).strip()
    if text and not text.isdigit():
        hint = "name a new file, or remove this one"
        raise MisuseError(Fault(what=f"{named} holds something else than a pid", where="--pid-file", hint=hint))


@contextmanager
def pid_in(file: Path | None) -> Iterator[None]:
    """While entered, `file` holds this process's pid; one that a killed supervisor left is replaced.

    Not removed when another process's pid stands there by then.
    """
    if file is None:
        yield
        return
    mine = f"{os.getpid()}\n"
    write_aside(file, mine)
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text(encoding="ascii", errors="replace") == mine:
                file.unlink()
