"""Claims: the file that decides whether an attempt may run, from the supervisor's side."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auto_loop.domain.job import Handle

_BEYOND = 10**12  # no pid, and no number of ticks after boot, comes near


def claimed(claim_file: Path, launcher: str, token: str) -> Handle | None:
    """The handle of the keeper that made the attempt's claim, or None when it never ran and now never will.

    An attempt that was written down as starting may have been launched or not; nobody saw. So a tombstone is linked
    where its claim would be: a keeper that comes later finds it and runs nothing; if a claim is there already, its
    process is the one to adopt. One that cannot be read was torn by a power cut: the attempt may have run, and
    nothing of it lives; its handle, by the token alone, leads to the exit if there is one. Call it with the study's
    lease in hand: the tombstone is made under one name, so that the next one clears away what a death left of it.
    """
    tombstone = claim_file.with_name(f"{claim_file.name}.tombstone")
    tombstone.parent.mkdir(parents=True, exist_ok=True)
    tombstone.unlink(missing_ok=True)  # it may be linked as the claim by now: not to be written into
    tombstone.write_text(json.dumps({"tombstone": True}), encoding="utf-8")
    try:
        os.link(tombstone, claim_file)
    except FileExistsError:
        return _read(claim_file, launcher, token)
    finally:
        tombstone.unlink()
    return None


def _read(claim_file: Path, launcher: str, token: str) -> Handle | None:
    try:
        claim = json.loads(claim_file.read_text(encoding="utf-8"))
    except ValueError:
        claim = None
    if isinstance(claim, dict) and claim.get("tombstone"):
        return None
    return handle_of(claim, launcher) if is_whole(claim) else Handle(launcher=launcher, reference=token)


def is_whole(claim: Any) -> bool:
    """Whether a claim names its process with all that is needed to know it again."""
    types = {"pid": int, "start_time": int, "boot_id": str, "token": str}
    whole = isinstance(claim, dict) and all(type(claim.get(name)) is kind for name, kind in types.items())
    return whole and 0 < claim["pid"] < 2**31 and 0 <= claim["start_time"] < _BEYOND


def handle_of(claim: Mapping[str, Any], launcher: str) -> Handle:
    """The process that made a claim, by the claim's own words: nobody had to look while it lived."""
    return Handle(
        launcher=launcher,
        pid=claim["pid"],
        start_time=claim["start_time"],
        boot_id=claim["boot_id"],
        reference=claim["token"],
    )
