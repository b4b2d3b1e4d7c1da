"""Reads a trainer's config class in the trainer's own interpreter.

`<python> class_probe.py CLASS MODULE... < configs.json`, run by path, never imported by the house. CLASS is
`module:Class` or `file.py:Class`; each MODULE is imported after it (some trainers register the classes that a `type`
chooses from by an import). On stdin a JSON list of configs (may be empty); on stdout one JSON object: `int`, `float`,
`defaults`, `known` (path patterns, `*` for a list's item or a mapping's key), `open` (whether some part has fields
that nobody can list), and `faults`, one list a config: what draccus says when it parses it, which needs draccus.
"""

from __future__ import annotations  # the trainer's Python may be 3.9

import dataclasses
import enum
import importlib
import json
import os
import pathlib
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
        self.known: set[str] = set()
        self.defaults: dict[str, Any] = {}
        self.open = False


def main() -> None:
    """Answers once, as the module says."""
    # Our neighbours' names (accelerate, profile) are those of packages that a trainer imports.
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != here]
    where = sys.argv[1]
    configs = json.load(sys.stdin)
    # What an import prints would spoil the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kind = load(where)
    for module in sys.argv[2:]:
        importlib.import_module(module)
    found = Found()
    walk(kind, "", found, ())
    report = {
        "int": sorted(found.int),
        "float": sorted(found.float),
        "known": sorted(found.known),
        "defaults": found.defaults,
        "open": found.open,
        "faults": [parse_faults(kind, config) for config in configs],
    }
    json.dump(report, answer)
    answer.close()


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
    kinds = [part for part in parts_of(hint) if part is not type(None)]
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
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a stranger's class says is the finding)
        return [" ".join(str(error).split()) or type(error).__name__]
    finally:
        os.unlink(file.name)


if __name__ == "__main__":
    main()
