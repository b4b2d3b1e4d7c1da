"""Events: what happened in a loop, as observers see it and the ledger keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from auto_loop.domain.config import Json
from auto_loop.domain.job import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. `kind` is a stable word ("job started", "round decided", ...); `at` in unix s."""

    kind: str
    at: float
    study: str
    loop: int
    job: JobId | None = None
    detail: Mapping[str, Json] = field(default_factory=dict)
