"""Variants: a base config, changes in the edit language, and the file that they make."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes
from auto_loop.domain.edits import Edit, apply, parse_edit
from auto_loop.domain.errors import Fault, MisuseError
from auto_loop.workspace.configs import LoadedConfig, load_config, write_variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A written variant. `apply(base, edits)` is its config; `notes` say what was made right in the base."""

    path: Path
    config: Config
    edits: tuple[Edit, ...]
    base_fingerprint: str
    notes: tuple[str, ...] = ()


def _nothing(_config: Config) -> Sequence[Fault]:
    return ()


def make_variant(
    base_file: Path,
    changes: Iterable[str],
    frequencies: Mapping[str, int | None],
    out_dir: Path,
    types: FieldTypes = NO_TYPES,
    refused: Callable[[Config], Sequence[Fault]] = _nothing,
) -> Variant:
    """Writes the variant of `base_file` that `changes` describe into `out_dir`.

    `frequencies` maps the trainer's own paths of steps, log and eval frequency to what was asked, None where
    nothing was; those given go into the variant after the changes.
    `refused` gives what else speaks against the config (the trainer's own class).
    Raises MisuseError with the faults of the base and of all changes, or with what `refused` gives; then nothing
    is written.
    """
    base, edits = _read(base_file, changes, types)
    given = tuple(Edit.from_change(path, value) for path, value in frequencies.items() if value is not None)
    config = apply(base.config, edits + given, types)
    if against := refused(config):
        raise MisuseError(against)
    fingerprint = base.config.fingerprint
    path = write_variant(base_file, config, edits + given, out_dir, base_fingerprint=fingerprint)
    return Variant(path=path, config=config, edits=edits + given, base_fingerprint=fingerprint, notes=base.notes)


def _read(base_file: Path, changes: Iterable[str], types: FieldTypes) -> tuple[LoadedConfig, tuple[Edit, ...]]:
    """Base and edits; else the faults of both, with those of the edits that can be read but not applied."""
    faults: list[Fault] = []
    base: LoadedConfig | None = None
    edits: list[Edit] = []
    try:
        base = load_config(base_file, types)
    except MisuseError as error:
        faults.extend(error.faults)
    for change in changes:
        try:
            edits.append(parse_edit(change))
        except MisuseError as error:
            faults.extend(error.faults)
    if base is not None and not faults:
        return base, tuple(edits)
    if base is not None:
        faults.extend(_faults_of_applying(base.config, edits, types))
    raise MisuseError(faults)


def _faults_of_applying(config: Config, edits: list[Edit], types: FieldTypes) -> tuple[Fault, ...]:
    try:
        apply(config, edits, types)
    except MisuseError as error:
        return error.faults
    return ()
