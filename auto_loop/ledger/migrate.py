"""From any older schema to today's, in one commit."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from auto_loop.domain.errors import Fault, RefusedError
from auto_loop.ledger.queries import migration_texts, parse_script, schema_text


def bring_up_to_date(raw: sqlite3.Connection, file: Path) -> None:
    """Make the schema in an empty file, or migrate an older one; RefusedError for a newer one or a stranger's.

    The version is read again under the write lock: several processes may open a new file at once.
    """
    migrations = migration_texts()
    if schema_version(raw, file) == max(migrations):
        return
    raw.execute("BEGIN IMMEDIATE")
    try:
        version = schema_version(raw, file)
        if version == 0:
            _run(raw, schema_text())
        else:
            migrate(raw, version, migrations)
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise


def migrate(raw: sqlite3.Connection, version: int, migrations: Mapping[int, str]) -> None:
    """Run every migration above `version` in order; the caller's transaction commits them together."""
    for target, text in migrations.items():
        if target > version:
            _run(raw, text)


def schema_version(raw: sqlite3.Connection, file: Path) -> int:
    """The version that the file has, 0 for an empty one; RefusedError when it is not ours to open."""
    tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if not {"meta", "study", "attempt"} <= tables:
        raise RefusedError(
            Fault(what="a SQLite database, but no ledger", where=str(file), hint="give another file with --ledger")
        )
    row = raw.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None:
        raise RefusedError(
            Fault(what="the ledger is damaged (it has no version)", where=str(file), hint="put an older copy back")
        )
    version = int(row[0])
    newest = max(migration_texts())
    if version > newest:
        raise RefusedError(
            Fault(
                what=f"written by a newer auto_loop (schema {version}; this one knows up to {newest})",
                where=str(file),
                hint="upgrade auto_loop, or give another file with --ledger",
            )
        )
    return version


def _run(raw: sqlite3.Connection, text: str) -> None:
    for statement in parse_script(text):
        raw.execute(statement)
