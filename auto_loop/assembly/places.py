"""Where a call wants its study and its files: names and places that cannot be, found before anything is made."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from auto_loop.domain.call import AutorunCall
from auto_loop.domain.errors import Fault
from auto_loop.workspace.layout import Layout

_NAME = re.compile(r"[^\W_][\w.-]*")


def place_faults(call: AutorunCall, root: Path) -> Iterator[Fault]:
    """What is wrong with the study's name (files are named by it) and with the options that name places."""
    if call.study and not _NAME.fullmatch(call.study):
        hint = "letters, digits, _ . and -, a letter or digit first: its report is called so"
        yield Fault(what="not a name for a study", where=f"--study {call.study}", hint=hint)
    if not_folder := _file_on(root / call.output_root):
        yield Fault(what=f"{not_folder.name} is a file, not a folder", where=f"--output-root {call.output_root}")
    for option, name in (("--summary-out", call.summary_out), ("--markdown-out", call.markdown_out)):
        if name and (root / name).is_dir():
            yield Fault(what="it is a folder, and a file is to be written", where=f"{option} {name}")
        elif name and (not_folder := _file_on((root / name).parent)):
            yield Fault(what=f"{not_folder.name} is a file, not a folder", where=f"{option} {name}")


def writing_faults(call: AutorunCall, root: Path) -> Iterator[Fault]:
    """The folders that the loop will write to and may not: else a night ends at the first file that is due."""
    for place in written_to(call, root):
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            yield Fault(what="the folder cannot be written to", where=str(place))


def written_to(call: AutorunCall, root: Path) -> tuple[Path, ...]:
    """The folders that the loop will write to; for those that are not there yet, the first one above that is."""
    layout = Layout(root)
    ledger = root / call.ledger if call.ledger else layout.ledger_file
    report = root / call.markdown_out if call.markdown_out else layout.reports / "report"
    folders = [ledger.parent, root / call.output_root, layout.scratch, report.parent, (root / call.summary_out).parent]
    if call.decide:
        folders += [(root / name).parent for name in call.cfgs]
    there = (next(place for place in (folder, *folder.parents) if place.exists()) for folder in folders)
    return tuple(dict.fromkeys(there))


def lacking_room(folders: Iterable[Path], least_free: int) -> str:
    """Why nothing should be started for want of room: the first of the folders with less than `least_free` bytes."""
    for folder in folders:
        try:
            disk = os.statvfs(folder)
        except OSError as error:
            return f"{folder} cannot be looked at: {error.strerror}"
        free = disk.f_bavail * disk.f_frsize
        if free < least_free:
            what = f"{free >> 20} MiB are free in {folder}, and nothing is launched below {least_free >> 20} MiB"
            return f"the disk is full: {what}"
    return ""


def _file_on(folder: Path) -> Path | None:
    """What stands in the way of making `folder`: a file there, or where a folder above it would be."""
    first_there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return first_there if first_there is not None and not first_there.is_dir() else None
