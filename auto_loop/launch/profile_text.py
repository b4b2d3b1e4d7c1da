"""Reading a profile: TOML text to a `Profile`, refused whole with every fault; and the profiles shipped with us."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

from auto_loop.domain.errors import Fault, MisuseError, pointer
from auto_loop.domain.failure import Failure
from auto_loop.domain.paths import Star, parse_path
from auto_loop.launch.profile import FailurePattern, Precision, Profile, Starter, Style, Target, WandbKeys

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)

_PROFILES = files("auto_loop.launch") / "profiles"
_COMMON_FILE = "failures.toml"  # no profile: the failure classes of every trainer, by their traces in a log


def shipped_profile_names() -> tuple[str, ...]:
    """The names of the profiles that come with us, sorted."""
    names = (entry.name for entry in _PROFILES.iterdir())
    return tuple(
        sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml") and name != _COMMON_FILE)
    )


def shipped_profile(name: str) -> Profile:
    """The shipped profile of that name; MisuseError with the known names when there is none."""
    known = shipped_profile_names()
    if name not in known:
        raise MisuseError(Fault(what=f"no profile is called {name!r}", hint=f"shipped: {', '.join(known)}, or a file"))
    return parse_profile((_PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)


def parse_profile(text: str, name: str = "profile") -> Profile:
    """The profile that `text` describes; `name` stands for it in messages and is its name unless it gives one.

    MisuseError with every fault: broken TOML, unknown keys, wrong types, values that are none of the known ones.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MisuseError(_toml_fault(text, name, error)) from error
    reader = _Reader(name, text)
    profile = reader.profile(table)
    if reader.faults:
        raise MisuseError(reader.faults)
    return replace(profile, failures=(*profile.failures, *common_failures()))


@lru_cache(maxsize=1)
def common_failures() -> tuple[FailurePattern, ...]:
    """The failure classes that every profile knows, after its own."""
    text = (_PROFILES / _COMMON_FILE).read_text(encoding="utf-8")
    reader = _Reader(_COMMON_FILE, text)
    found = reader.failures(tomllib.loads(text))
    if reader.faults:
        raise MisuseError(reader.faults)
    return found


def _toml_fault(text: str, name: str, error: tomllib.TOMLDecodeError) -> Fault:
    place = re.search(r"at line (\d+), column (\d+)", str(error))
    if place is None:
        return Fault(what=f"not TOML: {error}", where=name)
    line, column = int(place[1]), int(place[2])
    shown = text.splitlines()[line - 1] if line <= len(text.splitlines()) else ""
    what = str(error).partition(" (at line")[0]
    return Fault(what=f"not TOML: {what}", where=f"{name}:{line}", pointer=pointer(shown, column - 1, column))


class _Reader:
    """Takes values out of a parsed table, key by key, and collects what is wrong instead of stopping at it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = text.splitlines()
        self.faults: list[Fault] = []

    def profile(self, table: dict[str, Any]) -> Profile:
        """The profile in `table`; worth something only while `faults` is empty."""
        config, keys = self.section(table, "config"), self.section(table, "keys")
        device, resume = self.section(table, "device"), self.section(table, "resume")
        output, warm = self.section(table, "output"), self.section(table, "warm")
        made = Profile(
            name=self.text(table, "name", self.name),
            pack=self.text(table, "pack", "default"),
            starter=self.choice(table, "starter", Starter, Starter.ACCELERATE),
            target=self.target(self.section(table, "target")),
            python_flags=self.texts(table, "python_flags"),
            precision=self.choice(table, "precision", Precision, Precision.NO),
            style=self.choice(config, "style", Style, Style.DRACCUS),
            config_flag=self.text(config, "flag", "--config_path"),
            config_class=self.config_class(config),
            config_imports=self.texts(config, "imports"),
            positional=self.texts(config, "positional"),
            not_passed=self.texts(config, "not_passed"),
            int_fields=self.texts(config, "int_fields"),
            ignore=self.texts(config, "ignore"),
            seed=self.seed(config),
            paired_streams=self.take(config, "paired_streams", bool, False),
            steps=self.names(keys, "steps"),
            log_freq=self.names(keys, "log_freq"),
            eval_freq=self.names(keys, "eval_freq"),
            output_dir=self.names(keys, "output_dir"),
            device=self.text(device, "key", ""),
            device_values=self.texts(device, "allowed") or ("cuda", "cpu", "mps"),
            wandb=self.wandb(self.section(table, "wandb")),
            always=self.take(table, "always", dict, {}),
            metrics=self.texts(output, "metrics"),
            checkpoints=self.text(output, "checkpoints", ""),
            resume_config=self.text(resume, "config", ""),
            resume_flags=self.texts(resume, "flags"),
            warm_key=self.text(warm, "key", ""),
            warm_folder=self.text(warm, "folder", ""),
            failures=self.failures(table),
        )
        for rest, where in ((config, "config"), (keys, "keys"), (device, "device"), (resume, "resume")):
            self.leftovers(rest, where)
        if bool(made.warm_key) is not bool(made.warm_folder):
            self.fault("warm", "[warm] needs both key and folder")
        self.leftovers(output, "output")
        self.leftovers(warm, "warm")
        self.leftovers(table, "")
        return made

    def target(self, table: dict[str, Any]) -> Target:
        made = Target(
            files=self.texts(table, "files"),
            shipped=self.text(table, "shipped", ""),
            module=self.text(table, "module", ""),
        )
        self.leftovers(table, "target")
        return made

    def wandb(self, table: dict[str, Any]) -> WandbKeys:
        names = ("enable", "mode", "entity", "project", "disable_artifact")
        made = WandbKeys(**{name: self.text(table, name, "") for name in names})
        self.leftovers(table, "wandb")
        return made

    def failures(self, table: dict[str, Any]) -> tuple[FailurePattern, ...]:
        made: list[FailurePattern] = []
        entries: list[Any] = self.take(table, "failure", list, [])
        for entry in entries:
            if not isinstance(entry, dict):
                self.fault("failure", "each [[failure]] is a table with name and pattern")
                continue
            name, text = self.text(entry, "name", ""), self.text(entry, "pattern", "")
            self.leftovers(entry, "failure")
            if not name or not text:
                self.fault("failure", "a [[failure]] needs both name and pattern")
                continue
            failure, pattern = self.failure(name), self.pattern(text)
            if failure is not None and pattern is not None:
                made.append(FailurePattern(failure=failure, pattern=pattern))
        return tuple(made)

    def failure(self, name: str) -> Failure | None:
        if name in set(Failure):
            return Failure(name)
        self.fault("name", f"{name!r} is no class of failures; known: {', '.join(Failure)}", name)
        return None

    def pattern(self, text: str) -> re.Pattern[str] | None:
        try:
            return re.compile(text, re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            self.fault("pattern", f"not a regular expression: {error}", text)
            return None

    def config_class(self, table: dict[str, Any]) -> str:
        value = self.text(table, "class", "")
        if value and not re.fullmatch(r"[\w.]+:\w+|[\w./-]+\.py:\w+", value):
            self.fault("class", f"{value!r} is not module:Class or file.py:Class", value)
        return value

    def seed(self, table: dict[str, Any]) -> str:
        """A place in the config, or "" for a trainer without one."""
        value = self.text(table, "seed", "seed")
        try:
            whole = value == "" or Star() not in parse_path(value)
        except MisuseError:
            whole = False
        if not whole:
            self.fault("seed", f"{value!r} is not the path of one value", value)
        return value if whole else ""

    def section(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        return self.take(table, key, dict, {})

    def text(self, table: dict[str, Any], key: str, default: str) -> str:
        return self.take(table, key, str, default)

    def texts(self, table: dict[str, Any], key: str) -> tuple[str, ...]:
        value: list[Any] = self.take(table, key, list, [])
        if not all(isinstance(item, str) for item in value):
            self.fault(key, f"{key} must be a list of texts")
            return ()
        return tuple(value)

    def names(self, table: dict[str, Any], key: str) -> tuple[str, ...]:
        """One name, or the names of several versions; the key's own name when it is not given, none when empty."""
        value = table.get(key, key)
        if isinstance(value, str):
            table.pop(key, None)
            return (value,) if value else ()
        return self.texts(table, key)

    def choice(self, table: dict[str, Any], key: str, kind: type[_E], default: _E) -> _E:
        value = self.text(table, key, default.value)
        if value in {member.value for member in kind}:
            return kind(value)
        known = ", ".join(member.value for member in kind)
        self.fault(key, f"{key} = {value!r} is none of: {known}", value)
        return default

    def take(self, table: dict[str, Any], key: str, kind: Callable[..., _T], default: _T) -> _T:
        """The value, removed from the table, so that what is left over at the end is unknown."""
        value = table.pop(key, default)
        if isinstance(value, type(default)):
            return value
        self.fault(key, f"{key} must be {_WORDS[type(default)]}, not {_WORDS.get(type(value), str(type(value)))}")
        return default

    def leftovers(self, table: dict[str, Any], section: str) -> None:
        for key in table:
            inside = f" in [{section}]" if section else ""
            self.fault(key, f"unknown key {key!r}{inside}", key)

    def fault(self, key: str, what: str, excerpt: str = "") -> None:
        """Records a fault at the first line that sets `key` or opens it as a table, and holds `excerpt`."""
        for number, line in enumerate(self.lines, start=1):
            if excerpt in line and re.match(rf"\s*(\[\[?)?\s*\"?{re.escape(key)}\"?\s*(=|\]|\.)", line):
                start = max(line.find(excerpt or key), 0)
                mark = pointer(line, start, start + len(excerpt or key))
                self.faults.append(Fault(what=what, where=f"{self.name}:{number}", pointer=mark))
                return
        self.faults.append(Fault(what=what, where=self.name))


_WORDS: dict[type, str] = {
    str: "a text", list: "a list", dict: "a table", int: "a number", float: "a number", bool: "true or false"
}  # fmt: skip
