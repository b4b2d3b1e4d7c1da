"""Fault points: the supervisor ends itself before or after the n-th commit, launch or rename, for every n there is.

A program of its own, as it forks: each case is a small project in which a forked supervisor dies at its moment, and
further ones go on plainly until the loop has ended. `python -m tests.scenario.crash --faults` runs them all.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path

from auto_loop.assembly.running import Front, run_autorun
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.cli.progress import console
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.errors import AutoLoopError, MisuseError
from auto_loop.ledger.reading import Reading
from tests.scenario.crash.books import Books, audit
from tests.scenario.crash.evidence import gather
from tests.scenario.crash.night import Kind, Night

MOMENTS = ("before commit", "after commit", "before launch", "after launch", "before rename", "after rename")
RESUME = AutorunCall(resume=True, study="pack", execute=True)
KILLED = -signal.SIGKILL
# A commit a job state, a launch a job: far more than the small loop has; a case beyond means that it never ends.
MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One death and what came of it. `reached` is False when the loop ended before the n-th such moment."""

    moment: str
    number: int
    reached: bool
    books: Books


def supported() -> bool:
    """Whether the hook is there."""
    return "fault" in {field.name for field in fields(Surroundings)}


def cases(folder: Path, every: int = 1) -> Iterator[Case]:
    """Every death at each moment, or every `every`-th of them, each in a project of its own below `folder`."""
    for moment in MOMENTS:
        for number in range(1, MOST, every):
            case = die_and_go_on(folder / f"{moment.replace(' ', '_')}_{number}", moment, number)
            yield case
            if not case.reached:
                break


def die_and_go_on(root: Path, moment: str, number: int) -> Case:
    """The whole case: the death, the resumes, the books."""
    night = Night(root=root, kind=Kind(kills=0, seed=1))
    code = supervise(night, begin(night), kill_at(moment, number))
    reached = code == KILLED
    if reached:
        code = supervise(night, RESUME)
        if code == MisuseError.exit_code and not was_begun(root):
            code = supervise(night, begin(night))
        # A loop that had ended before the death has nothing to resume.
        if code not in (0, MisuseError.exit_code):
            night.cries.append(f"the resume ended with {code}")
    elif code:
        night.cries.append(f"the supervisor ended with {code}")
    night.listen()
    return Case(moment=moment, number=number, reached=reached, books=audit(gather(root, night.diary, night.cries)))


def begin(night: Night) -> AutorunCall:
    """Two rounds of two quick jobs."""
    names = tuple(f"c{number}.json" for number in range(2))
    for number, name in enumerate(names):
        (night.root / name).write_text(json.dumps({"lr": 0.1 + number, "seconds": 0.05 + 0.03 * number}))
    return AutorunCall(
        cfgs=names,
        steps=20,
        log_freq=10,
        eval_freq=10,
        device="cpu",
        concurrency=2,
        decide=True,
        rounds=2,
        round_size=2,
        train_script="train.py",
        profile="script",
        pack="pack.toml",
        execute=True,
    )


def was_begun(root: Path) -> bool:
    """Whether any loop was written down."""
    file = root / "outputs/ledger.sqlite3"
    if not file.exists():
        return False
    with closing(Reading.open(file)) as reading:
        return reading.last_loop_number() > 0


def nothing(moment: str) -> None:
    """The hook of a supervisor that is let live."""


def kill_at(moment: str, number: int) -> Callable[[str], None]:
    """A hook that ends its process at the `number`-th such moment, as a SIGKILL from outside would."""
    left = [number]

    def fault(seen: str) -> None:
        if seen == moment:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return fault


def as_it_is(around: Surroundings) -> Surroundings:
    """The real surroundings."""
    return around


def supervise(
    night: Night,
    call: AutorunCall,
    fault: Callable[[str], None] = nothing,
    change: Callable[[Surroundings], Surroundings] = as_it_is,
) -> int:
    """A forked supervisor, which has all imports behind it; its exit code, negative for a signal.

    `change` is called in the fork: it gives other surroundings, and may spoil what only the fork sees.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 70
    try:
        code = _as_supervisor(night, call, fault, change)
    except AutoLoopError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except BaseException:  # noqa: BLE001 (the log is read for tracebacks; the fork must not run on as its parent)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _as_supervisor(
    night: Night,
    call: AutorunCall,
    fault: Callable[[str], None],
    change: Callable[[Surroundings], Surroundings],
) -> int:
    log = os.open(night.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(night.root)
    os.environ.update(night.env())
    around = change(replace(Surroundings.here(), fault=fault))
    return run_autorun(call, Front(observer=console(quiet=True)), around)
