"""Requests from outside a running loop: a row that the planner sees at its next turn. All that a view may write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from auto_loop.domain.config import Json
from auto_loop.domain.errors import RefusedError
from auto_loop.domain.request import Request, RequestId
from auto_loop.ledger.connection import Clock, Connection
from auto_loop.ledger.rows import request_of, text_of


class Requests:
    """The request rows of a ledger."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._db = connection
        self._clock = clock

    @classmethod
    def connect(cls, file: Path, clock: Clock) -> Self:
        """The requests of the ledger in `file`, by a connection of their own; RefusedError when there is none."""
        return cls(Connection.open(file, create=False), clock)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add(self, study: str, kind: str, payload: Mapping[str, Json] | None = None) -> RequestId:
        """Ask a study's loop for something; RefusedError when there is no such study."""
        with self._db.transaction():
            row = self._db.row(
                "add_request", study=study, kind=kind, payload=text_of(dict(payload or {})), created_at=self._clock()
            )
            if row is None:
                raise RefusedError(f"there is no study {study} in {self._db.file}")
        return RequestId(row["id"])

    def open(self, study: str) -> tuple[Request, ...]:
        """The study's unanswered requests, oldest first."""
        return tuple(request_of(row) for row in self._db.rows("open_requests", study=study))

    def get(self, request: RequestId) -> Request | None:
        """One request, answered or not."""
        row = self._db.row("request", request=request)
        return None if row is None else request_of(row)

    def answer(self, request: RequestId, answer: str) -> None:
        """Say what came of a request, once; RefusedError when it has been said."""
        with self._db.transaction():
            if not self._db.run("answer_request", request=request, answer=answer, answered_at=self._clock()):
                raise RefusedError(f"request {request} is unknown or has been answered")
