"""The connection to a ledger file: pragmas, durable commits, and every SQLite error in plain words."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from auto_loop.domain.errors import Fault, RefusedError
from auto_loop.ledger.failures import BUSY_S, FAILURES, explained, in_plain_words, primary_code
from auto_loop.ledger.filesystem import network_kind
from auto_loop.ledger.migrate import bring_up_to_date
from auto_loop.ledger.queries import SQL

Clock: TypeAlias = Callable[[], float]
CommitHook: TypeAlias = Callable[[str], None]
Value: TypeAlias = str | int | float | None

OLDEST_SQLITE = (3, 37, 0)  # strict tables
_UNDONE = "a part of this transaction failed before; none of it was written"


def no_fault(moment: str) -> None:
    """The hook of ordinary life: nothing happens at a commit."""


class Connection:
    """One process's open ledger. Not for several threads, and not to be used after a fork.

    `note` says what the user should hear once about the file system, or is empty.
    """

    def __init__(self, raw: sqlite3.Connection, file: Path, fault: CommitHook = no_fault) -> None:
        self._raw = raw
        self._fault = fault
        self._depth = 0
        self._broken = False
        self.file = file
        self.note = ""

    @classmethod
    def open(cls, file: Path, *, create: bool, fault: CommitHook = no_fault) -> "Connection":
        """The ledger in `file`, brought up to date; made, with its folder, when it is not there and `create`.

        RefusedError for what is no ledger, a broken one, or one of a newer auto_loop. Nothing is ever deleted.
        """
        _check_sqlite()
        file = file.absolute()
        if create:
            _make_folder(file)
        elif not file.is_file():
            raise RefusedError(Fault(what="there is no ledger", where=str(file), hint="`autorun --exec` makes one"))
        with in_plain_words(file):
            raw = sqlite3.connect(
                f"{file.as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                isolation_level=None,
                timeout=BUSY_S,
                cached_statements=256,
            )
        raw.row_factory = sqlite3.Row
        connection = cls(raw, file, fault)
        try:
            connection._prepare()
        except BaseException:
            raw.close()
            raise
        return connection

    def _prepare(self) -> None:
        with in_plain_words(self.file):
            kind = network_kind(self.file)
            _set_journal(self._raw, "delete" if kind else "wal")
            # Without WAL a commit is the journal's removal, which only EXTRA brings to the disk at once.
            self._raw.execute(f"PRAGMA synchronous = {'EXTRA' if kind else 'FULL'}")
            self._raw.execute("PRAGMA foreign_keys = ON")
            bring_up_to_date(self._raw, self.file)
        if kind:
            self.note = (
                f"{self.file} lies on a network file system ({kind}): the ledger uses a rollback journal there, "
                "slower than WAL; --ledger moves it to a local disk"
            )

    def only_read(self) -> None:
        """From here on nothing can be written through this connection."""
        self._raw.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def run(self, query: str, /, **values: Value) -> int:
        """Run the named query; the number of rows that it changed. SQLite's errors become ours."""
        try:
            return self._execute(query, values).rowcount
        except FAILURES as error:
            raise explained(error, self.file) from error

    def rows(self, query: str, /, **values: Value) -> list[sqlite3.Row]:
        """All rows of the named query."""
        try:
            rows: list[sqlite3.Row] = self._execute(query, values).fetchall()
        except FAILURES as error:
            raise explained(error, self.file) from error
        return rows

    def _execute(self, query: str, values: Mapping[str, Value]) -> sqlite3.Cursor:
        """The statement, run. Text with half a character in it (a torn log) is written with the half spelt out.

        In a JSON column the spelling, `\\ud800`, is JSON's own.
        """
        try:
            return self._raw.execute(SQL[query], values)
        except UnicodeEncodeError:
            return self._raw.execute(SQL[query], {name: _whole(value) for name, value in values.items()})

    def row(self, query: str, /, **values: Value) -> sqlite3.Row | None:
        """The first row of the named query, which may have no second; None without any."""
        rows = self.rows(query, **values)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One durable commit of all that is written inside; nothing of it when anything inside fails.

        An inner transaction joins the outer one. When an inner one fails, the outer one cannot commit any more, even
        if the failure was caught between them: half a transition is never written.
        """
        if self._depth:
            if not self._raw.in_transaction:  # undone by SQLite itself: what is written now would be a commit alone
                raise RuntimeError(_UNDONE)
            with self._joined():
                yield
            return
        with in_plain_words(self.file):
            self._raw.execute("BEGIN IMMEDIATE")
        self._broken = False
        try:
            with self._joined():
                yield
            if self._broken:
                raise RuntimeError(_UNDONE)
            self._fault("before commit")
            with in_plain_words(self.file):
                self._raw.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._fault("after commit")

    @contextmanager
    def _joined(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        except BaseException:
            self._broken = True
            raise
        finally:
            self._depth -= 1

    def _roll_back(self) -> None:
        """Undo what is open; SQLite has already done so itself after a full disk."""
        if self._raw.in_transaction:
            with suppress(sqlite3.Error):  # what went wrong first is what the person must hear of
                self._raw.execute("ROLLBACK")

    @contextmanager
    def one_view(self) -> Iterator[None]:
        """Several reads that see the same commit, whatever others write meanwhile."""
        if self._raw.in_transaction:
            yield
            return
        with in_plain_words(self.file):
            self._raw.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()


def _whole(value: Value) -> Value:
    """A text that can be written as UTF-8, its lone surrogates spelt out; anything else as it is."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(str(part) for part in OLDEST_SQLITE)
        raise RefusedError(f"this Python's SQLite is {sqlite3.sqlite_version}; the ledger needs {needed} or newer")


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(
            Fault(what=f"its folder cannot be made: {error.strerror}", where=str(file), hint="--ledger names another")
        ) from error


def _set_journal(raw: sqlite3.Connection, mode: str) -> None:
    """Set the journal mode, which fails at once, without waiting, while another process opens the new file too."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            if raw.execute("PRAGMA journal_mode").fetchone()[0] != mode:
                raw.execute(f"PRAGMA journal_mode = {mode}")
            return
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
