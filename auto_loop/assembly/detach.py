"""`--detach`: the same call in a process of its own session, which outlives the terminal that it was made in."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from auto_loop.assembly.loops import hold
from auto_loop.assembly.named_files import ledger_file, shown
from auto_loop.assembly.prepare import Prepared
from auto_loop.assembly.running import DONE, PREPARING, PROGRAM, Front, checked
from auto_loop.assembly.supervisors import Here, Standing, standing
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.errors import AutoLoopError
from auto_loop.domain.secrets import MASKED_WORDS, masked_words, secrets_of
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading

_LOOK_S = 0.1


def run_detached(call: AutorunCall, words: Sequence[str], front: Front, around: Surroundings | None = None) -> int:
    """Check the call here, then have it carried out by a detached process; the exit code.

    Returns 0 when that process drives the study, or, when it ended before, with its message and exit code. `words` are
    the call as it was written: the other process is given the same ones, so that it does just what this one would have.
    """
    around = around or Surroundings.here()
    prepared = checked(call, front.say, around)
    ledger = ledger_file(prepared.call, around)
    log = around.layout.scratch / f"autorun_{free_study(prepared, around).replace('/', '_')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"--- {datetime.fromtimestamp(around.clock()):%Y-%m-%d %H:%M:%S}, detached\n".encode())
        out.flush()
        start = out.tell()
        child = started(attached(words), out.fileno(), around)
    try:
        study = driven_by(child, ledger)
    except KeyboardInterrupt:
        child.terminate()  # before it drives the study this ends it; after that its jobs train on
        child.wait()
        raise
    said = log.read_bytes()[start:].decode("utf-8", errors="replace").splitlines()
    shown_log = shown(log, around.root)
    if study is None:
        return relayed([line for line in said if line != PREPARING], child.returncode, shown_log)
    for line in said:
        if line.startswith(("note: ", "warning: ")):
            front.say(line)
    front.say(farewell(study, child.pid, shown_log, call.ledger))
    return DONE


def attached(words: Sequence[str]) -> list[str]:
    """The words without `--detach`; what follows `--` is the trainer's."""
    ours = words.index("--") if "--" in words else len(words)
    return [*(word for word in words[:ours] if word != "--detach"), *words[ours:]]


def free_study(prepared: Prepared, around: Surroundings) -> str:
    """The study that the call would hold now, taken and let go of; RefusedError when a named one is held."""
    with Ledger.open(ledger_file(prepared.call, around), around.clock) as ledger:
        study, lease = hold(prepared, ledger, lambda _: None, around)
        lease.close()
    return study


def started(words: Sequence[str], out: int, around: Surroundings) -> subprocess.Popen[bytes]:
    """The process, in a session without a terminal: no Ctrl-C, and no hang-up, reaches it.

    Anybody can read its command line, and all night: what is secret in the words goes by its environment.
    """
    shown_words = masked_words(words, secrets_of(around.env))
    secret = {at: word for at, word in enumerate(words) if word != shown_words[at]}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), "autorun", *shown_words],
        cwd=around.root,
        env={**around.env, MASKED_WORDS: json.dumps(secret)} if secret else around.env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        start_new_session=True,
    )


def driven_by(child: subprocess.Popen[bytes], ledger: Path) -> str | None:
    """The study that the process drives, once it does; None when it ended without our seeing that."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_LOOK_S)
            return None
        # No ledger yet, or one that the process is just making or bringing to a newer shape: looked at again.
        with suppress(AutoLoopError), closing(Reading.open(ledger)) as reading:
            for study in reading.studies():
                found = reading.supervisor(study.name)
                if found is not None and found.pid == child.pid and standing(found, Here.now()) is Standing.ALIVE:
                    return study.name


def farewell(study: str, pid: int, log: str, ledger: str | None) -> str:
    """What the caller is left with: who drives the study, where it speaks, and how to ask, wait and stop."""
    name = shlex.quote(study)
    where = f" --ledger {shlex.quote(ledger)}" if ledger else ""
    return "\n".join(
        (
            f"Study {study} is driven by process {pid}, detached; it writes {log}",
            f"  how it stands:  auto-loop why --study {name}{where}",
            f"  to wait for it: auto-loop wait {name}{where}",
            f"  to stop it:     auto-loop stop --study {name}{where}",
        )
    )


def relayed(said: Sequence[str], code: int, log: str) -> int:
    """Says what a process said that has ended already; its exit code, as a shell gives it."""
    for line in said:
        print(line, file=sys.stdout if code == DONE else sys.stderr)
    if code < 0:
        print(f"error: signal {-code} ended the detached process before it drove the study; see {log}", file=sys.stderr)
    return code if code >= 0 else 128 - code
