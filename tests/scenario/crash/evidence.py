"""Gathering what a night left: ledger, claims, diary, processes, locks and files. Looks only; `books` judges."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from auto_loop.launch.processes import all_processes, words
from auto_loop.ledger.reading import Reading
from tests.scenario.crash.books import Evidence, Line

# Patterns of what is written aside and renamed or removed at once: there only if a writer was killed in between.
ASIDE = ("**/.aside-*", "**/*.tmp", "**/*.tombstone", "**/*.claim.[0-9]*", "**/*.exit.[0-9]*", "**/*.request.[0-9]*")
# How long a report's child, or a keeper that was held ready, may take to notice that its supervisor is gone.
PATIENCE_S = 10.0


def gather(root: Path, diary: Path, cries: Sequence[str] = (), study: str = "pack") -> Evidence:
    """What was found in the project folder `root` after its last supervisor has ended."""
    processes = lingering(diary)
    with closing(Reading.open(root / "outputs/ledger.sqlite3")) as reading:
        history = reading.history(study)
    return Evidence(
        history=history,
        claims=dict(claims(root)),
        diary=tuple(lines(diary)),
        processes=processes,
        held=[str(file.relative_to(root)) for file in locks(root) if is_locked(file)],
        left=sorted({str(file.relative_to(root)) for pattern in ASIDE for file in root.glob(pattern)}),
        cries=cries,
    )


def lines(diary: Path) -> Iterator[Line]:
    """The trainers' diary; nothing when no trainer ever started."""
    if diary.exists():
        for text in diary.read_text().splitlines():
            at, what, pid, token, visible, output = text.split()
            seen = "" if visible == "-" else visible
            yield Line(at=float(at), what=what, pid=int(pid), token=token, visible=seen, output=output)


def claims(root: Path) -> Iterator[tuple[str, str]]:
    """The token of every claim that is no tombstone, by its file."""
    for file in (root / ".codex_tmp/attempts").glob("*.claim"):
        claim = json.loads(file.read_text())
        if not claim.get("tombstone"):
            yield file.name, claim["token"]


def keepers(root: Path) -> dict[int, str]:
    """The living keepers, which are the processes that made the project's claims, and their attempts' tokens."""
    made = [json.loads(file.read_text()) for file in (root / ".codex_tmp/attempts").glob("*.claim")]
    times = {pid: one.start_time for pid, one in all_processes().items() if not one.ended}
    real = [claim for claim in made if not claim.get("tombstone")]
    return {claim["pid"]: claim["token"] for claim in real if times.get(claim["pid"]) == claim["start_time"]}


def lingering(diary: Path) -> dict[int, str]:
    """The night's processes that are still there when they had time to leave: all of them carry its diary's name."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := of_night(diary)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def of_night(diary: Path) -> dict[int, str]:
    """Command lines of the living processes of a night, by pid; keepers, forks and reports included."""
    mark = f"CRASH_DIARY={diary}".encode()
    alive = [pid for pid, one in all_processes().items() if not one.ended and pid != os.getpid()]
    return {pid: " ".join(words(pid)) for pid in alive if mark in environment(pid)}


def environment(pid: int) -> list[bytes]:
    """What a process was started with; empty when it is gone or somebody else's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def locks(root: Path) -> list[Path]:
    """Every file whose lock is somebody's lease: beside the ledger, and in the night's own lease folder."""
    return [file for folder in (root / "outputs", root / "leases") for file in folder.glob("*") if file.is_file()]


def is_locked(file: Path) -> bool:
    """Whether a living process holds its lock; the ledger itself is not one of them."""
    if ".sqlite3" in file.name and file.suffix != ".lease":
        return False
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
