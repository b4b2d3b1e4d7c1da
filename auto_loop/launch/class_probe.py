"""Reads a trainer's config class in the trainer's own interpreter, and says what that would refuse.

`<python> class_probe.py CLASS MODULE...`, run by path, never imported by the house. CLASS is `module:Class` or
`file.py:Class`; each MODULE is imported after it (some trainers register the classes that a `type` chooses from by an
import). It answers in lines of JSON. The first says what the class has: `int`, `float`, `required` (never null),
`defaults`, `known` (path patterns, `*` for a list's item or a mapping's key) and `open` (whether some part has fields
that nobody can list).
Then, for each line on stdin with a config, one line with a list of texts: what draccus says when it parses it (which
needs draccus), or what the class's own module finds by `faults(config)`. It ends with its stdin, and with its starter.
"""

from __future__ import annotations  # the trainer's Python may be 3.9

import contextlib
import dataclasses
import enum
import importlib
import json
import os
import pathlib
import signal
import sys
import types
import typing
from typing import Any

UNION = (typing.Union, getattr(types, "UnionType", typing.Union))


class Found:
    """What a walk over a config class has found, by path pattern."""

    def __init__(self) -> None:
        self.int: set[str] = set()
        self.float: set[str] = set()
        self.required: set[str] = set()
        self.optional: set[str] = set()
        self.known: set[str] = set()
        self.defaults: dict[str, Any] = {}
        self.open = False


def main() -> None:
    """Answers as the module says, until stdin ends."""
    # Our neighbours' names (accelerate, profile) are those of packages that a trainer imports.
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != here]
    end_with_the_starter()
    asked, answers = own_streams()
    kind = load(sys.argv[1])
    for module in sys.argv[2:]:
        importlib.import_module(module)
    with contextlib.suppress(ImportError):  # now, so that the first config need not wait for it
        importlib.import_module("draccus")
    answer(answers, fields_of(kind))
    hush()
    for line in asked:
        answer(answers, parse_faults(kind, json.loads(line)))


def end_with_the_starter() -> None:
    """A starter that was killed while a class hangs on a config would leave this behind for ever."""
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def own_streams() -> tuple[typing.TextIO, typing.TextIO]:
    """Stdin and stdout for us alone: what an import prints or reads would spoil the conversation."""
    asked, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return asked, answers


def hush() -> None:
    """From here on nobody reads what the class prints, and a file of it would grow."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    os.close(nothing)


def answer(answers: typing.TextIO, said: Any) -> None:
    """One line; a reader that is gone ends this."""
    answers.write(json.dumps(said) + "\n")
    answers.flush()


def fields_of(kind: Any) -> dict[str, Any]:
    """What the class has, as the first line of the answers."""
    found = Found()
    walk(kind, "", found, ())
    return {
        "int": sorted(found.int),
        "float": sorted(found.float),
        "required": sorted(found.required - found.optional),
        "known": sorted(found.known),
        "defaults": found.defaults,
        "open": found.open,
    }


def load(where: str) -> Any:
    """The class; a file inside a package is imported as that package's module, so that its own imports work."""
    module, _, name = where.rpartition(":")
    if module.endswith(".py"):
        file = pathlib.Path(module).resolve()
        parts = [file.stem]
        while (file.parent / "__init__.py").is_file():
            parts.insert(0, file.parent.name)
            file = file.parent
        sys.path.insert(0, str(file.parent))
        module = ".".join(parts)
    else:
        sys.path.insert(0, os.getcwd())
    return getattr(importlib.import_module(module), name)


def walk(kind: Any, prefix: str, found: Found, above: tuple[Any, ...]) -> None:
    """Adds what the dataclass `kind` at `prefix` ("a.b." or "") has; a class inside itself is not entered again."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.init:
            walk_type(hints[field.name], prefix + field.name, found, (*above, kind))
            note_default(field, prefix + field.name, found)


def walk_type(hint: Any, path: str, found: Found, above: tuple[Any, ...]) -> None:
    """Adds what a value of type `hint` at `path` is."""
    whole = parts_of(hint)
    kinds = [part for part in whole if part is not type(None)]
    (found.required if len(kinds) == len(whole) and typing.Any not in kinds else found.optional).add(path)
    inner = [part for part in kinds if has_fields(part) and part not in above]
    lists = [part for part in kinds if typing.get_origin(part) in (list, tuple, set, frozenset)]
    maps = [part for part in kinds if part is dict or typing.get_origin(part) is dict]
    for part in inner:
        found.open |= hasattr(part, "get_known_choices")  # one of several classes, chosen by its `type`
        if hasattr(part, "get_known_choices"):
            found.known.add(path + ".type")
            for choice in part.get_known_choices().values():
                walk(choice, path + ".", found, (*above, part))
            # Which class's default it would be is known only with the `type`.
            for key in [key for key in found.defaults if key.startswith(path + ".")]:
                del found.defaults[key]
        else:
            walk(part, path + ".", found, above)
    for part in lists + maps:
        items = [item for item in typing.get_args(part)[1 if part in maps else 0 :] if item is not Ellipsis]
        found.known.add(path)
        for item in items[:1]:
            walk_type(item, path + ".*", found, above)
        found.open |= part in maps
    if not inner and not lists and not maps:
        found.known.add(path)
    if int in kinds and float not in kinds:
        found.int.add(path)
    if float in kinds:
        found.float.add(path)
    found.open |= typing.Any in kinds


def has_fields(kind: Any) -> bool:
    """Whether it is a config class, or a registry of some (draccus's choices, of which a `type` takes one)."""
    return dataclasses.is_dataclass(kind) or hasattr(kind, "get_known_choices")


def parts_of(hint: Any) -> list[Any]:
    """The alternatives of a union, the hint itself otherwise."""
    if typing.get_origin(hint) in UNION:
        return [part for arg in typing.get_args(hint) for part in parts_of(arg)]
    if typing.get_origin(hint) is typing.Annotated:
        return parts_of(typing.get_args(hint)[0])
    return [hint]


def note_default(field: dataclasses.Field[Any], path: str, found: Found) -> None:
    """The default, if it is a plain value; a dataclass's own fields have theirs."""
    value = field.default
    if value is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
        try:
            value = field.default_factory()
        except Exception:  # noqa: BLE001 (a stranger's code; its default stays unknown)
            return
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int, float, str)):
        found.defaults[path] = value
    elif isinstance(value, (list, tuple)) and all(isinstance(item, (bool, int, float, str)) for item in value):
        found.defaults[path] = list(value)


def parse_faults(kind: Any, config: Any) -> list[str]:
    """What draccus says of the config; the class's own checks, if it has a module-level `faults`, are the trainer's."""
    import tempfile

    try:
        import draccus
    except ImportError:
        return []
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(config, file)
    try:
        with draccus.config_type("json"):
            parsed = draccus.parse(kind, config_path=file.name, args=[])
        check = getattr(sys.modules[kind.__module__], "faults", None)
        return [str(fault) for fault in check(parsed)] if callable(check) else []
    except BaseException as error:  # noqa: BLE001 (whatever a stranger's class says is the finding)
        return [words_of(error)]
    finally:
        os.unlink(file.name)


def words_of(error: BaseException) -> str:
    """What an error says, and what its cause says: a parser likes to keep to itself what a class has raised."""
    texts = [" ".join(str(one).split()) or type(one).__name__ for one in (error, error.__cause__) if one is not None]
    return texts[0] if texts[-1] in texts[0] else ": ".join(texts)


if __name__ == "__main__":
    main()
