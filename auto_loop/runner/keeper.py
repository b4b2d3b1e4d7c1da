"""Keeps one attempt: claims it, starts its command, waits for every descendant, leaves the exit.

Forked by `forkserver.py`, or by hand as `<python> -I -S keeper.py REQUEST.json`; in a session of its own, formats are
in `schema.py`. It is the tiny parent that no job can be: a process cannot record its own SIGKILL, and a supervisor that
was restarted cannot wait for a child that is not its own. As a child subreaper it inherits what its command leaves
behind, so that "no child left" means that the attempt is over. It ignores SIGTERM, SIGINT and SIGHUP: signals to its
group are meant for the job.

It takes the C halves of json, signal and ctypes where they are: they load 7 ms sooner, and a fork copies less.
"""

from __future__ import annotations

import os
import sys
import time

try:
    import _signal as signal  # type: ignore[import-not-found]  # has no stub
except ImportError:
    import signal  # the same names, behind enums that take time to build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

CLAIM_TAKEN = 111
CANNOT_CLAIM = 112
NOT_FOUND = 127
NOT_STARTED = 126
NO_ROOM = (28, 122)  # ENOSPC and EDQUOT: importing errno takes time
PATIENCE = 600  # looks, a second apart
PR_SET_CHILD_SUBREAPER = 36
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Python ignores SIGPIPE and SIGXFSZ from its own start on, and a shell has what it starts in the background ignore
# SIGQUIT; what is ignored would stay so across exec.
RESET = (*IGNORED, signal.SIGQUIT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)


def main(arguments: list[str]) -> int:
    """Runs the attempt of a request file, if it can be claimed; the exit codes are in `schema.py`."""
    set_signals()
    warm_up()
    return attend(lambda: read(arguments[0]), complain)


def set_signals() -> None:
    """Ignores what is meant for the job. SIGCHLD must not be ignored, or no child could be waited for."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def warm_up() -> None:
    """Loads ahead of time what an attempt will need."""
    try:
        import _ctypes  # noqa: F401 (loading is all that is wanted)
        import _json  # noqa: F401 (loading is all that is wanted)
    except ImportError:
        pass  # it is done without them, more slowly


def attend(text_of: Callable[[], str], answer: Callable[[dict[str, Any]], None]) -> int:
    """Keeps the attempt whose request `text_of` gives, to its end; `answer` hears at once what became of the claim."""
    try:
        request = parsed(text_of())
        claimed = claim(request)
    except (OSError, ValueError, LookupError, TypeError) as error:
        answer({"code": CANNOT_CLAIM, "error": "no claim could be made: %r" % error, "claim": None})
        return CANNOT_CLAIM
    if claimed is None:
        answer({"code": CLAIM_TAKEN, "error": "the attempt was already claimed", "claim": None})
        return CLAIM_TAKEN
    answer({"code": 0, "error": None, "claim": claimed})
    leave(request["exit"], keep(request))
    return 0


def complain(answer: dict[str, Any]) -> None:
    """The answer of a keeper that was started by hand: its refusal, for whoever reads."""
    if answer["error"]:
        sys.stderr.write("keeper: %s\n" % answer["error"])


def parsed(text: str) -> dict[str, Any]:
    """The request, its necessary fields present."""
    request: dict[str, Any] = loads(text)
    for name in ("attempt", "token", "argv", "cwd", "log_file", "claim", "exit"):
        request[name]
    return request


def claim(request: dict[str, Any]) -> dict[str, Any] | None:
    """The claim by which we may run the attempt, or None: link() lets one win, and the winner's file is whole."""
    mine = {
        "pid": os.getpid(),
        "start_time": start_time(),
        "boot_id": read("/proc/sys/kernel/random/boot_id").strip(),
        "token": request["token"],
    }
    aside = "%s.%d" % (request["claim"], mine["pid"])
    with open(aside, "w", encoding="utf-8") as file:
        file.write(dumps(mine))
    try:
        os.link(aside, request["claim"])
    except FileExistsError:
        return None
    finally:
        os.unlink(aside)
    return mine


def start_time() -> int:
    """Field 22 of our stat line; the second field, our name, may hold blanks and brackets."""
    return int(read("/proc/self/stat").rpartition(")")[2].split()[19])


def keep(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the command to the end of its last descendant and returns the exit."""
    ending: dict[str, Any] = {
        "attempt": request["attempt"],
        "token": request["token"],
        "returncode": None,
        "signal": None,
        "error": None,
        "started_at": time.time(),
        "leader_ended_at": None,
        "ended_at": None,
        "leftover": False,
        "inner": None,
    }
    try:
        become_subreaper()
        leader = start(request)
    except Exception as error:  # noqa: BLE001 (whatever it was, the house must hear of it)
        ending["returncode"] = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED
        ending["error"] = "%s: %s" % (type(error).__name__, error)
        ending["leader_ended_at"] = ending["ended_at"] = time.time()
        return ending
    wait_for_all(leader, ending, request.get("linger_s"))
    if ending["returncode"]:
        ending["inner"] = earliest_cause(request.get("inner"))
    return ending


def become_subreaper() -> None:
    """From now on orphans among our descendants become our children."""
    try:
        import _ctypes as c

        prctl = c.dlsym(c.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None means this program
        failed = c.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    except (ImportError, AttributeError, TypeError):
        import ctypes

        failed = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if failed:
        raise OSError("prctl(PR_SET_CHILD_SUBREAPER) failed")


def start(request: dict[str, Any]) -> int:
    """Starts the command with our descriptors 0, 1, 2 (null and the log), which lets go of the supervisor's own."""
    env = dict(os.environ if request.get("env") is None else request["env"])
    env["AUTO_LOOP_TOKEN"] = request["token"]
    if request.get("inner"):
        env["AUTO_LOOP_INNER"] = request["inner"]
    for descriptor in request.get("lock_fds") or ():
        os.set_inheritable(descriptor, False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(request["log_file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["cwd"])
    argv = request["argv"]
    return os.posix_spawn(program(argv[0], env), argv, env, setsigmask=(), setsigdef=RESET)


def program(name: str, env: dict[str, str]) -> str:
    """The file to execute, as a shell would find it."""
    if "/" in name:
        return name
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        file = os.path.join(folder, name)
        if os.access(file, os.X_OK) and os.path.isfile(file):
            return file
    raise FileNotFoundError("%s: not found on PATH" % name)


def wait_for_all(leader: int, ending: dict[str, Any], linger_s: float | None) -> None:
    """Reaps children, adopted ones too, until there is none; fills in what their ends tell."""
    pid, status = os.waitpid(-1, 0)
    while pid != leader:
        pid, status = os.waitpid(-1, 0)
    ending["leader_ended_at"] = time.time()
    ending["returncode"] = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
    ending["signal"] = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass  # zombies that the leader had not waited for
        ending["leftover"] = True
        if linger_s is not None:
            # Again every second: what was seen may have forked before it was killed.
            signal.signal(signal.SIGALRM, kill_descendants)
            signal.setitimer(signal.ITIMER_REAL, max(linger_s, 0.001), 1.0)
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        ending["ended_at"] = time.time()


def kill_descendants(*_: object) -> None:
    """SIGKILL to all that hangs below this process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parent = int(read("/proc/%s/stat" % name).rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
            except (OSError, IndexError):
                pass  # it has just ended
    below = [os.getpid()]
    for pid in below:
        below += children.get(pid, ())
    for pid in below[1:]:
        try:  # noqa: SIM105 (importing contextlib takes longer than all else here)
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def earliest_cause(path: str | None) -> Any:
    """The inner cause that was there first: when one rank fails, the others fail because of it."""
    if not path:
        return None
    folder, name = os.path.split(path)
    causes = []
    for found in os.listdir(folder or "."):
        if found == name or found.startswith(name + ".rank"):
            try:  # noqa: SIM105 (importing contextlib takes longer than all else here)
                causes.append(loads(read(os.path.join(folder, found))))
            except (OSError, ValueError):
                pass  # a cause is a courtesy; the exit must be written without it
    return min((cause for cause in causes if isinstance(cause, dict)), key=cause_time, default=None)


def cause_time(cause: dict[str, Any]) -> float:
    """When a cause was written, in unix seconds; 0 when it does not say."""
    at = cause.get("at")
    return at if isinstance(at, (int, float)) else 0


def leave(path: str, ending: dict[str, Any]) -> None:
    """Writes the exit, and waits for room on a full disk: a night's result must not be lost over it."""
    for _ in range(PATIENCE):
        try:
            return write_whole(path, ending)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            time.sleep(1)
    return write_whole(path, ending)


def write_whole(path: str, value: dict[str, Any]) -> None:
    """Writes aside, and renames once it is on the disk: a reader sees all of it or nothing."""
    aside = "%s.%d" % (path, os.getpid())
    with open(aside, "w", encoding="utf-8") as file:
        file.write(dumps(value))
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)


def read(path: str) -> str:
    """A small file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


class Plain:
    """What json's C scanner asks its decoder for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: ClassVar[dict[str, str]] = {}


def loads(text: str) -> Any:
    """json.loads, without the 7 ms of importing json where its C half can be had."""
    try:
        from _json import make_scanner

        scan = make_scanner(Plain)  # type: ignore[arg-type]  # it asks for attributes, not for a class
    except (ImportError, AttributeError):
        import json

        return json.loads(text)
    try:
        return scan(text.strip(), 0)[0]
    except (StopIteration, SystemError):  # of broken JSON the scanner cannot say more
        raise ValueError("not JSON") from None


def dumps(value: Any) -> str:
    """json.dumps, of what a keeper writes."""
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s: %s" % (dumps(key), dumps(inner)) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(map(dumps, value))
    if isinstance(value, str):
        return quoted(value)
    if value is None or (isinstance(value, float) and value - value != 0):
        return "null"  # NaN and the infinities, which JSON has no words for
    return str(value).lower() if isinstance(value, bool) else repr(value)


def quoted(text: str) -> str:
    """A JSON string."""
    try:
        from _json import encode_basestring_ascii
    except ImportError:
        from json.encoder import encode_basestring_ascii
    return encode_basestring_ascii(text)


if __name__ == "__main__":
    # At once: the slot is free when this process has ended, and taking an interpreter down takes milliseconds.
    os._exit(main(sys.argv[1:]))
