"""Configs on disk: read with every fault at once, and variants written under names of their own."""

import errno
import hashlib
import itertools
import json
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from auto_loop.domain.config import NO_TYPES, Config, FieldTypes, with_ints
from auto_loop.domain.edits import Edit, render_edit
from auto_loop.domain.errors import AutoLoopError, DiskFullError, Fault, MisuseError
from auto_loop.domain.names import within
from auto_loop.workspace.files import read_text, write_aside
from auto_loop.workspace.json_text import parse_object

_SUFFIX = re.compile(r"_(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{6}$")
_SUFFIX_LETTERS = string.digits + string.ascii_lowercase


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A config, the file that it came from, and what was made right on reading."""

    config: Config
    path: Path
    notes: tuple[str, ...] = ()


def load_config(path: Path, types: FieldTypes = NO_TYPES) -> LoadedConfig:
    """The config in a file. Raises MisuseError with every fault, with line, column and pointer where there is one."""
    data = parse_object(read_text(path, "config file"), str(path))
    config, notes = with_ints(Config.of(data), types)
    return LoadedConfig(config=config, path=path, notes=notes)


def load_configs(paths: Iterable[Path], types: FieldTypes = NO_TYPES) -> tuple[LoadedConfig, ...]:
    """The configs in several files. Raises MisuseError with the faults of all of them."""
    loaded: list[LoadedConfig] = []
    faults: list[Fault] = []
    for path in paths:
        try:
            loaded.append(load_config(path, types))
        except AutoLoopError as error:
            faults.extend(error.faults)
    if faults:
        raise MisuseError(faults)
    return tuple(loaded)


def config_text(config: Config) -> str:
    """The config as it is written to a file: indented, keys in their order, floats that read back as themselves."""
    return json.dumps(config.data(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_variant(
    base: Path, config: Config, edits: Sequence[Edit], out_dir: Path, *, base_fingerprint: str | None = None
) -> Path:
    """Writes `config`, which `edits` made of the config in `base`, into `out_dir`, and gives the file.

    The name is the base's with a suffix from a hash of base and edits: the same base and edits give the same name.
    A file of that name with other content is left alone, and the next six characters of the hash are taken.
    `base_fingerprint` is the base config's own, if it is at hand; else the file is read.
    """
    fingerprint = base_fingerprint or load_config(base).config.fingerprint
    stem = within(base_name(base.stem))
    for suffix in suffixes(fingerprint, edits):
        path = out_dir / f"{stem}_{suffix}.json"
        held = _held(path)
        if held is None or (isinstance(held, Config) and held.fingerprint == config.fingerprint):
            if held is None:
                _write(path, config)
            return path
    raise AssertionError("suffixes never end")


def _write(path: Path, config: Config) -> None:
    try:
        write_aside(path, config_text(config))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(Fault(what="there is no room for it on the disk", where=str(path))) from error
        raise MisuseError(Fault(what=f"it cannot be written: {error.strerror}", where=str(path))) from error


def base_name(stem: str) -> str:
    """The name without a variant's suffix: `act_ot_baseline_h2jr9c` is a variant of `act_ot_baseline`.

    Our suffixes always hold a digit and a letter, and only such ones are taken off, so that `my_config` stays.
    """
    return _SUFFIX.sub("", stem)


def suffixes(base_fingerprint: str, edits: Iterable[Edit]) -> Iterator[str]:
    """The suffixes for a variant, best first: six digits or letters each, with at least one of either."""
    seed = "\n".join([base_fingerprint, *map(render_edit, edits)])
    for round_ in itertools.count():
        number = int.from_bytes(hashlib.sha256(f"{round_}\n{seed}".encode()).digest())
        for _ in range(8):
            number, part = divmod(number, len(_SUFFIX_LETTERS) ** 6)
            suffix = _in_base_36(part)
            if _SUFFIX.fullmatch(f"_{suffix}"):
                yield suffix


def _in_base_36(number: int) -> str:
    """Six digits and letters."""
    return "".join(_SUFFIX_LETTERS[number // 36**place % 36] for place in reversed(range(6)))


def _held(path: Path) -> Config | str | None:
    """What stands at a path: a config, the reason why it is none, or None when nothing stands there."""
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return load_config(path).config
    except MisuseError as error:
        return str(error)
