"""SQLite's errors in plain words: what it means for the person, and what to do next."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auto_loop.domain.errors import AutoLoopError, DiskFullError, Fault, RefusedError

BUSY_S = 30.0

# By SQLite's primary result code: the kind of error, what is said, and what to do. {} is SQLite's own message.
_MEANINGS: dict[int, tuple[type[AutoLoopError], str, str]] = {
    sqlite3.SQLITE_NOTADB: (
        RefusedError,
        "this is no ledger ({})",
        "give another file with --ledger; this one was left as it is",
    ),
    sqlite3.SQLITE_CORRUPT: (
        RefusedError,
        "the ledger is damaged ({})",
        "keep a copy of it, then put an older copy back or give another file with --ledger; nothing was deleted",
    ),
    sqlite3.SQLITE_READONLY: (RefusedError, "the ledger cannot be written ({})", "change its rights, or give --ledger"),
    sqlite3.SQLITE_CANTOPEN: (RefusedError, "the ledger cannot be opened ({})", "change its rights, or give --ledger"),
    sqlite3.SQLITE_PERM: (RefusedError, "the ledger cannot be opened ({})", "change its rights, or give --ledger"),
    sqlite3.SQLITE_CONSTRAINT: (RefusedError, "the ledger refuses an impossible state ({})", "nothing was written"),
    sqlite3.SQLITE_FULL: (
        DiskFullError,
        "the disk is full: the last change was not written ({})",
        "make room, then go on with --resume; everything before it is safe",
    ),
    sqlite3.SQLITE_BUSY: (
        AutoLoopError,
        f"another process has held the ledger for {BUSY_S:.0f} s ({{}})",
        "end or continue the one that was stopped in the middle, then go on with --resume",
    ),
}
_UNKNOWN = (
    AutoLoopError,
    "SQLite failed: the last change was not written ({})",
    "look at the disk, then go on with --resume",
)


@contextmanager
def in_plain_words(file: Path) -> Iterator[None]:
    """Every SQLite error from inside comes out as ours, with the ledger's file."""
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, file) from error


def explained(error: sqlite3.Error, file: Path) -> AutoLoopError:
    """The error to raise instead: refused where the person must act first, a plain failure elsewhere."""
    kind, what, hint = _MEANINGS.get(primary_code(error), _UNKNOWN)
    return kind(Fault(what=what.format(error), where=str(file), hint=hint))


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of the Python module itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
