"""What a trainer's config class says of its fields, read once in the trainer's own interpreter and kept in a file."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from auto_loop.domain.config import Config, FieldTypes
from auto_loop.domain.errors import Fault
from auto_loop.launch.class_server import PROBE, TrainerClass, TrainerClassServer, trainer_class
from auto_loop.launch.profile import Profile

__all__ = ["TrainerClass", "TrainerFields", "field_types", "parse_check", "trainer_class"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerFields:
    """What is known of a trainer's fields: `types` for edits, `names` (all paths found) for choosing flags.

    `types.known` is None, unlike `names`, where the class has parts whose fields nobody can list.
    """

    types: FieldTypes
    names: frozenset[str] | None = None
    notes: tuple[str, ...] = ()


def field_types(profile: Profile, trainer: TrainerClass | None, cache: Path) -> TrainerFields:
    """The fields of the trainer's class, kept in `cache`; of the profile alone, with a note, if it cannot be read."""
    plain = FieldTypes(int_fields=frozenset(profile.int_fields))
    if trainer is None:
        return TrainerFields(types=plain)
    file = cache / f"fields_{_key(trainer)}.json"
    report = _cached(file)
    if report is None:
        with TrainerClassServer(trainer) as server:
            report = server.fields()
        if report is None:
            note = server.note.replace(", so no config", ", so only the profile's int_fields count and no config", 1)
            return TrainerFields(types=plain, notes=(note,))
        _keep(file, report)
    return TrainerFields(types=_types(report, plain), names=frozenset(report["known"]))


def parse_check(trainer: TrainerClass, configs: Sequence[Config]) -> list[tuple[Fault, ...]]:
    """What the trainer's own parser says of each config, asked in one start of it; nothing if it cannot be asked."""
    if not configs:
        return []
    with TrainerClassServer(trainer) as server:
        return server.check(configs)


def _types(report: Mapping[str, Any], plain: FieldTypes) -> FieldTypes:
    floats = frozenset(report["float"])
    return FieldTypes(
        int_fields=(plain.int_fields | frozenset(report["int"])) - floats,
        float_fields=floats,
        required=frozenset(report["required"]),
        defaults=report["defaults"],
        known=None if report["open"] else frozenset(report["known"]),
    )


def _key(trainer: TrainerClass) -> str:
    """Changes with the interpreter, the class, its source where it is a file, and our own probe."""
    parts = [trainer.name, *trainer.imports, trainer.python, str(trainer.root), PROBE.read_text(encoding="utf-8")]
    file = trainer.name.rpartition(":")[0]
    if file.endswith(".py") and Path(file).is_file():
        parts.append(Path(file).read_text(encoding="utf-8"))
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


def _cached(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _keep(file: Path, report: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.write_text(json.dumps(report), encoding="utf-8")
    aside.replace(file)
