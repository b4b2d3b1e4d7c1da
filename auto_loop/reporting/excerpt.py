"""The end of a log, fit to be shown: no colours, no overwritten progress bars, no secrets."""

import re
from collections.abc import Iterable

from auto_loop.domain.secrets import masked

LINES = 20
WIDTH = 240

# Control sequences (colours, cursor), operating-system commands (titles, links), and shorter escapes (ECMA-48).
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?",
)


def excerpt(text: str, known: Iterable[str] = (), lines: int = LINES) -> tuple[str, ...]:
    """The last `lines` lines of `text` that say something.

    Escape sequences go first, since one could part a secret; then secrets are masked; only then are lines cut, so
    that no secret is cut short of its shape.
    """
    clear = masked(_ESCAPE.sub("", text), known)
    shown = [_overwritten(line) for line in clear.replace("\r\n", "\n").split("\n")]
    said = [line for line in shown if line.strip()]
    return tuple(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in said[-lines:])


def _overwritten(line: str) -> str:
    """What a terminal shows of a line that was written over with carriage returns."""
    return next((part.rstrip() for part in reversed(line.split("\r")) if part.strip()), "").expandtabs(4)
