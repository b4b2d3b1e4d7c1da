"""The lease of a study: one supervisor at a time, held by a `flock` that dies with its process."""

import fcntl
import os
from pathlib import Path
from typing import Self


class Lease:
    """A study held. Close it, or end the process, and the study is free; nothing stale is ever left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, ledger_file: Path, study: str) -> Self | None:
        """The lease of `study`, or None when a live process holds it; the ledger's row says who."""
        file = lease_file(ledger_file, study)
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def close(self) -> None:
        """Let go of the study."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lease_file(ledger_file: Path, study: str) -> Path:
    """The file beside the ledger whose lock is the study's lease."""
    return ledger_file.with_name(f"{ledger_file.name}.{study.replace('/', '_')}.lease")
