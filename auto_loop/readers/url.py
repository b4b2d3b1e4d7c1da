"""The address of a run's page at W&B: from what the job printed, else from the run's own record."""

import re
from pathlib import Path

from auto_loop.readers.base import Reading
from auto_loop.readers.run_folders import run_folders
from auto_loop.readers.wandb_datastore import run_record

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
# W&B's own line, and LeRobot's.
_SAID = re.compile(r"(?:View run .*?at:?|Track this run\s*-+>)\s*(?P<url>https?://\S+)")
DEFAULT_BASE_URL = "https://wandb.ai"
_HEAD_BYTES = 1 << 16  # trainers print it early


def find_wandb_url(log_text: str, reading: Reading | None = None) -> str:
    """The last URL that the job's output names, else the reading's own; empty when there is none.

    An offline run has none until it is synced.
    """
    found = _SAID.findall(_ANSI.sub("", log_text))
    if found:
        return str(found[-1]).rstrip(".,;)'\"")
    return reading.wandb_url if reading else ""


def recorded_url(folder: Path, run_id: str, base_url: str = DEFAULT_BASE_URL) -> str:
    """The address of the online run of that id in `folder`, or empty.

    `base_url/entity/project/runs/run_id` when its record holds them all, else what the script printed into the output
    that W&B keeps beside it.
    """
    online = [one for run in run_folders(folder) for one in run if one.run_id == run_id and not one.offline]
    for one in reversed(online):
        record = run_record(one)
        if record and record.entity and record.project and record.run_id:
            return f"{base_url.rstrip('/')}/{record.entity}/{record.project}/runs/{record.run_id}"
        if said := find_wandb_url(_head(one.folder / "files" / "output.log")):
            return said
    return ""


def _head(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return stream.read(_HEAD_BYTES).decode(errors="replace")
    except OSError:
        return ""
