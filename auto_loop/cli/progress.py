"""Progress while the loop works: plain lines, one a happening, and a status line now and then."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from auto_loop.domain.event import Event

STATUS_PERIOD_S = 10.0


class Console:
    """An observer that prints. On a terminal the status line is rewritten in place; elsewhere it comes rarely."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._rewrites = stream.isatty()
        self._started = self._shown = clock()
        self._open = False

    def on_event(self, event: Event) -> None:
        """Print the line that `event` is worth, if it is."""
        if event.kind == "progress":
            self._status(event.detail)
            return
        line = _LINES[event.kind](event.detail) if event.kind in _LINES else None
        if line is not None:
            self._print(line)

    def _status(self, detail: Mapping[str, Any]) -> None:
        now = self._clock()
        if now - self._shown < (1.0 if self._rewrites else STATUS_PERIOD_S):
            return
        self._shown = now
        line = f"{self._elapsed()} {_status_line(detail)}"
        if self._rewrites:
            show(f"\r\x1b[2K{line[: terminal_width()]}", self._stream)
            self._open = True
        else:
            show(f"{line}\n", self._stream)

    def _print(self, line: str) -> None:
        clear = "\r\x1b[2K" if self._open else ""
        self._open = False
        show(f"{clear}{self._elapsed()} {line}\n", self._stream)

    def _elapsed(self) -> str:
        seconds = int(self._clock() - self._started)
        return f"[{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}]"


class Silent:
    """An observer that prints nothing."""

    def on_event(self, event: Event) -> None:
        """Nothing."""


def say(text: str) -> None:
    """Print a line on stdout, for as long as anybody can read it."""
    show(f"{text}\n", sys.stdout)


def show(text: str, stream: TextIO) -> None:
    """Write `text` at once. A terminal or a pipe that was closed must not end a loop: it then goes nowhere."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def console(*, quiet: bool) -> Console | Silent:
    """The observer of a call: lines on stdout, or nothing at all."""
    return Silent() if quiet else Console(sys.stdout)


def terminal_width() -> int:
    """Columns of the terminal, less one, so that a full line does not wrap."""
    from shutil import get_terminal_size  # only a terminal needs it

    return get_terminal_size().columns - 1


def shortly(file: str) -> str:
    """A file as it is named from the working folder, if it lies below."""
    return file.removeprefix(os.path.join(os.getcwd(), ""))


def number(value: object) -> str:
    """A figure as people read it: four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds as `42 s`, `3 m 12 s` or `2 h 05 m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} m {whole % 60:02} s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60:02} m"


def _status_line(detail: Mapping[str, Any]) -> str:
    head = f"round {detail['round']}/{detail['rounds']} · {detail['done']}/{detail['total']} done"
    return " | ".join([head, *(_slot_cell(cell) for cell in detail["slots"])])


def _slot_cell(cell: Mapping[str, Any]) -> str:
    if not cell["step"] and cell["value"] is None:
        return f"slot {cell['slot']} {cell['job']} starting, nothing logged yet"
    text = f"slot {cell['slot']} {cell['job']} step {cell['step']}/{cell['steps']}"
    if cell["value"] is not None:
        text += f" {cell['metric']} {number(cell['value'])}"
    return text


def _loop_started(detail: Mapping[str, Any]) -> str:
    jobs = "1 job" if detail["jobs"] == 1 else f"{detail['jobs']} jobs"
    return (
        f"study {detail['study']} · loop_{detail['loop']} · {jobs} in round {detail['round']} of "
        f"{detail['rounds']} · {detail['slots']}"
    )


def _job_started(detail: Mapping[str, Any]) -> str:
    again = f"  attempt {detail['attempt']}" if detail.get("attempt") else ""
    from_checkpoint = "  from its checkpoint" if detail.get("resume_from") else ""
    if detail.get("warm_from"):
        from_checkpoint = f"  warm, from {shortly(detail['warm_from'])}"
    elif detail.get("not_warm"):
        from_checkpoint = f"  fresh, not warm: {detail['not_warm']}"
    where = f"({detail['where']}){again}{from_checkpoint}"
    return f"start  slot {detail['slot']}  {detail['job']}  {where}  log {shortly(detail['log'])}"


def _job_ended(detail: Mapping[str, Any]) -> str:
    took = duration(detail["seconds"])
    kind = f"  {detail['failure']}:" if detail.get("failure") else ""
    cause = f"{kind}  {detail['cause']}" if detail["cause"] else kind
    return f"{detail['outcome']:<9}  slot {detail['slot']}  {detail['job']}  in {took}{cause}"


def _job_retried(detail: Mapping[str, Any]) -> str:
    return f"retry  {detail['job']}  {detail['text']}"


def _job_remedied(detail: Mapping[str, Any]) -> str:
    return f"remedy  {detail['child']}  ← {detail['job']}: {', '.join(detail['edits'])}  ({detail['reason']})"


def _job_settled(detail: Mapping[str, Any]) -> str:
    return f"settled  {detail['job']}  {detail['text']}"


def _job_stopping(detail: Mapping[str, Any]) -> str:
    return f"stopping  {detail['job']}  {detail['cause']}"


def _live_rule(detail: Mapping[str, Any]) -> str:
    return f"warning  {detail['job']}  {detail['text']}"


def _job_forked(detail: Mapping[str, Any]) -> str:
    warm = "warm, " if detail["warm"] else ""
    return f"fork  {detail['child']}  ← {detail['job']}: {', '.join(detail['edits'])}  ({warm}{detail['rule']})"


def _fork_refused(detail: Mapping[str, Any]) -> str:
    reasons = "; ".join(str(one).splitlines()[0] for one in detail["reasons"])
    return f"no fork  {detail['job']}  {detail['rule']}: {reasons}"


def _job_withdrawn(detail: Mapping[str, Any]) -> str:
    return f"withdrawn  {detail['job']}  {detail['cause']}"


def _slot_blocked(detail: Mapping[str, Any]) -> str:
    return f"idle  slot {detail['slot']}  ({detail['where']})  {detail['cause']}"


def _job_measured(detail: Mapping[str, Any]) -> str | None:
    if detail["best"] is None:
        return f"measured  {detail['job']}  no {detail['metric']} was logged"
    return f"measured  {detail['job']}  {detail['metric']} {number(detail['first'])} → {number(detail['last'])}" + (
        f"  best {number(detail['best'])} @ {detail['best_step']}"
    )


def _round_decided(detail: Mapping[str, Any]) -> str:
    lines = [f"decided  after round {detail['round']}: {detail['accepted']} accepted, {detail['refused']} refused"]
    lines += [f"         {child['name']}  ← {child['parent']}: {child['reason']}" for child in detail["children"]]
    return "\n".join(lines)


def _job_decided(detail: Mapping[str, Any]) -> str:
    if detail["silence"]:
        return f"decided  after {detail['job']}: {detail['silence'].splitlines()[0]}"
    counts = (
        (detail["waiting"], "fit to run"),
        (detail["refused"], "refused"),
        (detail["no_place"], "without a place"),
    )
    return f"decided  after {detail['job']}: " + ", ".join(f"{count} {what}" for count, what in counts if count)


def _proposal_taken(detail: Mapping[str, Any]) -> str:
    by = f"  (accepted by {detail['by']})" if detail["by"] else ""
    return f"next  {detail['child']}  ← {detail['parent']}: {detail['reason']}{by}"


def _proposal_turned_away(detail: Mapping[str, Any]) -> str:
    reasons = "; ".join(str(one).splitlines()[0] for one in detail["reasons"])
    return f"{detail['verdict']}  proposal {detail['proposal']} ({detail['rule']}): {reasons}"


def _said(detail: Mapping[str, Any]) -> str:
    return str(detail["text"])


_LINES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "loop started": _loop_started,
    "job started": _job_started,
    "job ended": _job_ended,
    "job retried": _job_retried,
    "job remedied": _job_remedied,
    "job settled": _job_settled,
    "job stopping": _job_stopping,
    "live rule": _live_rule,
    "job forked": _job_forked,
    "fork refused": _fork_refused,
    "job withdrawn": _job_withdrawn,
    "slot blocked": _slot_blocked,
    "job measured": _job_measured,
    "round decided": _round_decided,
    "job decided": _job_decided,
    "proposal taken": _proposal_taken,
    "proposal turned away": _proposal_turned_away,
    "said": _said,
}
