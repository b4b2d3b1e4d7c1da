"""Named SQL: `SQL["start_attempt"]` is the statement of that name in queries.sql."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType

_NAME = re.compile(r"^-- name: (\w+)$")


def parse_queries(text: str) -> dict[str, str]:
    """The statements of a queries file by their names; ValueError for a name given twice or a statement without one."""
    queries: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        if named := _NAME.match(line):
            if named[1] in queries:
                raise ValueError(f"query {named[1]} is there twice")
            lines = queries[named[1]] = []
        elif line and not line.startswith("--"):
            if lines is None:
                raise ValueError(f"a statement without a name: {line}")
            lines.append(line)
    return {name: "\n".join(lines) for name, lines in queries.items()}


def parse_script(text: str) -> Iterator[str]:
    """The statements of a schema or migration one by one, triggers whole.

    `executescript` would commit first, and a schema must appear in one commit or not at all.
    """
    statement = ""
    for line in text.splitlines(keepends=True):
        if not line.startswith("--"):
            statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"an unfinished statement: {statement.strip()}")


def schema_text() -> str:
    """The schema as it is today."""
    return (files("auto_loop.ledger") / "schema.sql").read_text(encoding="utf-8")


def migration_texts() -> dict[int, str]:
    """Every migration by the version that it leads to, in order."""
    folder = files("auto_loop.ledger") / "migrations"
    found = {
        int(entry.name[:3]): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if re.fullmatch(r"\d{3}_\w+\.sql", entry.name)
    }
    return dict(sorted(found.items()))


SQL: Mapping[str, str] = MappingProxyType(
    parse_queries((files("auto_loop.ledger") / "queries.sql").read_text(encoding="utf-8"))
)
