"""SQLite's errors in plain words: what it means for the person, and what to do next."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from auto_loop.domain.errors import AutoLoopError, DiskFullError, Fault, RefusedError

BUSY_S = 30.0
# Python's module cannot even decode SQLite's message, or a column, when it quotes what lies broken in the file.
FAILURES = (sqlite3.Error, UnicodeDecodeError)
P = ParamSpec("P")
T = TypeVar("T")

_NO_ROOM: tuple[type[AutoLoopError], str, str] = (
    DiskFullError,
    "the disk is full: the last change was not written ({})",
    "make room, then go on with --resume; everything before it is safe",
)
# By SQLite's result code, the extended one if it is here, else the primary one: the kind of error, what is said, and
# what to do. {} is SQLite's own message.
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
    sqlite3.SQLITE_FULL: _NO_ROOM,
    sqlite3.SQLITE_IOERR_SHMSIZE: _NO_ROOM,
    sqlite3.SQLITE_IOERR_WRITE: _NO_ROOM,  # a quota that is used up, or a disk that is to come back
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
    except FAILURES as error:
        raise explained(error, file) from error


def sound(convert: Callable[P, T]) -> Callable[P, T]:
    """`convert`, which refuses a row that nobody of ours wrote: a failing disk's, or a foreign hand's."""

    @wraps(convert)
    def converted(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return convert(*args, **kwargs)
        except (ValueError, TypeError, LookupError, AttributeError, StopIteration) as error:
            _, what, hint = _MEANINGS[sqlite3.SQLITE_CORRUPT]
            raise RefusedError(Fault(what=what.format(f"a row that cannot be read: {error}"), hint=hint)) from error

    return converted


def explained(error: Exception, file: Path) -> AutoLoopError:
    """The error to raise instead: refused where the person must act first, a plain failure elsewhere."""
    code = primary_code(error)
    kind, what, hint = _MEANINGS.get(int(getattr(error, "sqlite_errorcode", code)), _MEANINGS.get(code, _UNKNOWN))
    return kind(Fault(what=what.format(error), where=str(file), hint=hint))


def primary_code(error: Exception) -> int:
    """SQLite's primary result code; 0 for an error of the Python module itself."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
