"""The trainer's config class as a small server in the trainer's own interpreter: started once, asked per config.

The class is never imported here: the trainer may live in another environment, and importing it may cost seconds. So a
child of ours imports it once and answers in lines of JSON (`class_probe`). It is a stranger's code: it may print,
raise, end its interpreter or hang on a config, and each of these is a fault of that config, not of the loop.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Self

from auto_loop.domain.config import Config, Json
from auto_loop.domain.errors import Fault
from auto_loop.domain.secrets import masked
from auto_loop.launch.checks import PACKAGE
from auto_loop.launch.profile import Profile

PROBE = Path(__file__).with_name("class_probe.py")
START_S = 180.0  # a trainer that imports a simulator and a network library takes its time on a busy machine
CONFIG_S = 10.0  # to parse one takes milliseconds; a class that takes longer waits for something
_CLOSING_S = 1.0
_WHY_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerClass:
    """A trainer's config class: which, and the interpreter, folder and environment that it can be imported in."""

    name: str
    imports: tuple[str, ...] = ()
    python: str
    root: Path
    env: Mapping[str, str]


def trainer_class(profile: Profile, python: str, root: Path, env: Mapping[str, str]) -> TrainerClass | None:
    """The profile's class, a file of ours by its whole path; None when the profile names none."""
    name = profile.config_class
    if not name:
        return None
    if ".py:" in name:
        file, _, attribute = name.rpartition(":")
        ours, theirs = PACKAGE / file, root / file
        name = f"{theirs if theirs.is_file() else ours}:{attribute}"
    return TrainerClass(name=name, imports=profile.config_imports, python=python, root=root, env=env)


class TrainerClassServer:
    """Asks a trainer's config class what it would refuse. Nothing runs before the first question, or `start`.

    One child, in a session of its own (a terminal's Ctrl-C is for the loop); it ends with its stdin, so never outlives
    us. A child that ends or hangs on a config is replaced; one that cannot load the class is not tried again: then
    `why_not` says why, and every config passes. Only one thread may ask.
    """

    def __init__(self, trainer: TrainerClass, *, start_s: float = START_S, config_s: float = CONFIG_S) -> None:
        self.trainer = trainer
        self.why_not = ""
        self._start_s, self._config_s = start_s, config_s
        self._child: _Child | None = None

    def start(self) -> None:
        """Have the class imported ahead, without waiting for it: the first question finds it warm."""
        if self._child is not None and self._child.is_gone:
            self.close()
        if self._child is None and not self.why_not:
            try:
                self._child = _Child(self.trainer)
            except OSError as error:
                self.why_not = masked(str(error))

    @property
    def note(self) -> str:
        """What to tell a person who relies on it; empty while the class can be asked."""
        said = f"the class {self.trainer.name} could not be read, so no config is held against it: {self.why_not}"
        return said if self.why_not else ""

    def fields(self) -> dict[str, Any] | None:
        """What the class has, in `class_probe`'s words; None, and `why_not`, if it cannot be read."""
        child = self._ready()
        return None if child is None else child.fields

    def check(self, configs: Sequence[Config]) -> list[tuple[Fault, ...]]:
        """What the trainer's own parser says of each config; nothing where it cannot be asked (`why_not`)."""
        return [tuple(Fault(what=text, where=self.trainer.name) for text in self._texts(one)) for one in configs]

    def close(self) -> None:
        """End the child, if there is one. The server may be asked again, and starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ready(self) -> "_Child | None":
        """The child with the class loaded; waits for that, and says once why it cannot be."""
        self.start()
        child = self._child
        if child is None or child.fields is not None:
            return child
        try:
            child.fields = _mapping(child.answer(self._start_s))
            return child
        except _GoneError:
            why = child.end() or "its interpreter ended"
        except (TimeoutError, ValueError) as error:
            child.kill()
            why = str(error)
        self._child, self.why_not = None, masked(why)
        return None

    def _texts(self, config: Config) -> list[str]:
        child = self._ready()
        if child is None:
            return []
        try:
            child.ask(config.data(), self._config_s)
            return [masked(str(text)) for text in _items(child.answer(self._config_s))]
        except TimeoutError:
            said = f"it had not read it after {self._config_s:g} s"
        except (_GoneError, ValueError):
            said = "its interpreter ended while reading it"
        child.kill()
        self._child = None
        self.start()  # at once: the next question finds much of the import done
        return [said]


class _GoneError(Exception):
    """The child has closed its end."""


class _Child:
    """One interpreter with the class. Both pipes are ours and never block; every wait has its deadline."""

    def __init__(self, trainer: TrainerClass) -> None:
        self.fields: dict[str, Any] | None = None
        self._errors: IO[bytes] = TemporaryFile()  # noqa: SIM115 (lives as long as the child; a pipe would fill up)
        self._buffer = b""
        try:
            self._process = subprocess.Popen(
                [trainer.python, str(PROBE), trainer.name, *trainer.imports],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                cwd=trainer.root, env=dict(trainer.env), start_new_session=True,
            )  # fmt: skip
        except OSError:
            self._errors.close()
            raise
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("both are pipes")
        self._stdin, self._stdout = stdin, stdout
        os.set_blocking(stdin.fileno(), False)
        os.set_blocking(stdout.fileno(), False)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended by itself: between two questions that is no config's fault."""
        return self._process.poll() is not None

    def ask(self, config: dict[str, Json], limit_s: float) -> None:
        """Send a config. TimeoutError, _GoneError."""
        left = json.dumps(config).encode() + b"\n"
        wait = _waiter(limit_s)
        while left:
            wait([], [self._stdin])
            try:
                left = left[os.write(self._stdin.fileno(), left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise _GoneError from None

    def answer(self, limit_s: float) -> Json:
        """The next line. TimeoutError, _GoneError; ValueError when it is no JSON."""
        wait = _waiter(limit_s)
        while b"\n" not in self._buffer:
            wait([self._stdout], [])
            got = os.read(self._stdout.fileno(), 1 << 16)
            if not got:
                raise _GoneError
            self._buffer += got
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: Json = json.loads(line)
        return answer

    def end(self) -> str:
        """End and reap it, by its own will if it has one; the last line that it wrote on stderr."""
        with suppress(OSError):
            self._stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSING_S)
        self.kill()
        with self._errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - _WHY_BYTES))
            return errors.read().decode(errors="replace").strip().rpartition("\n")[2]

    def kill(self) -> None:
        """End it and what it has started, and reap it."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):
            self._stdin.close()
        self._stdout.close()


def _waiter(limit_s: float) -> Callable[[list[IO[bytes]], list[IO[bytes]]], None]:
    """Waits until a pipe is ready; TimeoutError once `limit_s` have passed since it was made."""
    end = time.monotonic() + limit_s

    def wait(readable: list[IO[bytes]], writable: list[IO[bytes]]) -> None:
        poll = select.poll()  # not select(): a supervisor of many jobs has descriptors beyond its 1024
        for pipe in readable:
            poll.register(pipe, select.POLLIN)
        for pipe in writable:
            poll.register(pipe, select.POLLOUT)
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError(f"there was no answer within {limit_s:g} s")

    return wait


def _mapping(answer: Json) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ValueError("its first line is no table of fields")
    return answer


def _items(answer: Json) -> list[Json]:
    if not isinstance(answer, list):
        raise ValueError("an answer is a list of texts")
    return answer
