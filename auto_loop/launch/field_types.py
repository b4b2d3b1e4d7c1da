"""What a trainer's config class says of its fields, read once in the trainer's own interpreter and kept in a file.

The class is never imported here: the trainer may live in another environment, and importing it may cost seconds.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from auto_loop.domain.config import Config, FieldTypes, Json
from auto_loop.domain.errors import Fault
from auto_loop.domain.secrets import masked
from auto_loop.launch.checks import PACKAGE
from auto_loop.launch.profile import Profile

PROBE = Path(__file__).with_name("class_probe.py")
_PROBE_S = 180  # a trainer that imports a simulator and a network library takes its time on a busy machine


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
        report, why = _probe(trainer, [])
        if report is None:
            note = f"the class {trainer.name} could not be read, so only the profile's int_fields count: {why}"
            return TrainerFields(types=plain, notes=(note,))
        _keep(file, report)
    return TrainerFields(types=_types(report, plain), names=frozenset(report["known"]))


def parse_check(trainer: TrainerClass, configs: Sequence[Config]) -> list[tuple[Fault, ...]]:
    """What the trainer's own parser says of each config, asked in one start of it; nothing if it cannot be asked."""
    if not configs:
        return []
    report, _ = _probe(trainer, [config.data() for config in configs])
    if report is None:
        return [() for _ in configs]
    return [tuple(Fault(what=text, where=trainer.name) for text in texts) for texts in report["faults"]]


def _types(report: Mapping[str, Any], plain: FieldTypes) -> FieldTypes:
    floats = frozenset(report["float"])
    return FieldTypes(
        int_fields=(plain.int_fields | frozenset(report["int"])) - floats,
        float_fields=floats,
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


def _probe(trainer: TrainerClass, configs: list[dict[str, Json]]) -> tuple[dict[str, Any] | None, str]:
    """The probe's answer, or None and why there is none."""
    try:
        done = subprocess.run(
            [trainer.python, str(PROBE), trainer.name, *trainer.imports],
            input=json.dumps(configs), capture_output=True, text=True, timeout=_PROBE_S, check=True,
            cwd=trainer.root, env=dict(trainer.env),
            start_new_session=True,  # a terminal's Ctrl-C is for the loop, which goes on and still wants its answer
        )  # fmt: skip
        report: dict[str, Any] = json.loads(done.stdout)
        return report, ""
    except subprocess.CalledProcessError as error:
        return None, masked((error.stderr or "").strip().rpartition("\n")[2])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return None, masked(str(error))
