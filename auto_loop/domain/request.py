"""Requests: what somebody outside asks of a running loop, as a row that the planner sees at its next turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from auto_loop.domain.config import Json

RequestId = NewType("RequestId", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing asked for. `kind` is a stable word ("stop", "propose", ...); `payload` is the kind's own.

    `answer` says in words what came of it; it and `answered_at` (unix s) are set together.
    """

    id: RequestId
    study: str
    kind: str
    payload: Mapping[str, Json] = field(default_factory=dict)
    created_at: float = 0.0
    answered_at: float | None = None
    answer: str = ""
