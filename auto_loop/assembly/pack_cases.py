"""Packs and their rule cases, found and put together: what `auto-loop pack check` and `pack test` show."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auto_loop.assembly.choices import pack_named
from auto_loop.assembly.named_files import shown
from auto_loop.domain.config import Config
from auto_loop.domain.errors import AutoLoopError, Fault, MisuseError
from auto_loop.rules import pack as packs
from auto_loop.rules.case_file import Loading, parse_cases
from auto_loop.rules.case_model import CaseFile
from auto_loop.rules.cases import Judged, judge
from auto_loop.rules.model import Pack
from auto_loop.workspace.configs import load_config
from auto_loop.workspace.files import read_text

CASES = packs.CASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One file of cases, as it is shown; the pack's name; and each case with what was found."""

    file: str
    pack: str
    judged: tuple[Judged, ...]

    @property
    def failed(self) -> int:
        """How many cases did not pass."""
        return sum(not one.passed for one in self.judged)


def checked(name: str, root: Path) -> Pack:
    """The pack in a file, or a shipped one by its name. MisuseError with every fault, the file named in each."""
    if name in packs.shipped_names():
        return packs.shipped_pack(name)
    file = root / name
    text = read_text(file, "pack")
    if _are_cases(file, text):
        hint = "`auto-loop pack test` takes it"
        raise MisuseError(Fault(what="it holds rule cases, and is no pack", where=shown(file, root), hint=hint))
    return packs.parse(text, packs.shipped_text, name=shown(file, root))


def tested(names: Iterable[str], root: Path) -> tuple[Tested, ...]:
    """The cases of each pack or file of cases, judged. MisuseError with the faults of all of them."""
    done: list[Tested] = []
    faults: list[Fault] = []
    for name in names:
        try:
            done.append(_tested(name, root))
        except AutoLoopError as error:
            faults.extend(error.faults)
    if faults:
        raise MisuseError(faults)
    return tuple(done)


def _tested(name: str, root: Path) -> Tested:
    file, found = _cases(name, root)
    return Tested(file=file, pack=found.pack.name, judged=tuple(judge(case, found.pack) for case in found.cases))


def _cases(name: str, root: Path) -> tuple[str, CaseFile]:
    """The file of cases that a name stands for, as it is shown, and what is in it."""
    if name in packs.shipped_names():
        loading = Loading(load_pack=packs.shipped_pack, load_config=lambda text: _config(text, root, root), pack=name)
        return f"{name}{CASES}", parse_cases(packs.shipped_cases(name), loading, name=f"{name}{CASES}")
    file = root / name
    text = read_text(file, "pack or file of cases")
    if not _are_cases(file, text):
        file = _beside(file, root)
        text = read_text(file, "file of cases")
    loading = Loading(
        load_pack=lambda named: _pack(named, file.parent, root),
        load_config=lambda named: _config(named, file.parent, root),
        pack=_named_for(file),
    )
    return shown(file, root), parse_cases(text, loading, name=shown(file, root))


def _are_cases(file: Path, text: str) -> bool:
    """Whether it is a file of cases, by its name or by what is in it; what is no TOML is judged by its name."""
    if file.name.endswith(CASES):
        return True
    try:
        return "case" in tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _beside(pack: Path, root: Path) -> Path:
    """The file of cases beside a pack."""
    file = pack.with_name(f"{pack.stem}{CASES}")
    if not file.is_file():
        hint = f"write {shown(file, root)} (docs/pack-tests.md), or name another file of cases"
        raise MisuseError(Fault(what="there are no cases for this pack", where=shown(pack, root), hint=hint))
    return file


def _named_for(file: Path) -> str:
    """The pack that a file of cases is named for, where there is one beside it."""
    pack = file.with_name(file.name.removesuffix(CASES) + ".toml")
    return pack.name if file.name.endswith(CASES) and pack.is_file() else ""


def _pack(name: str, folder: Path, root: Path) -> Pack:
    """A pack that a file of cases names: a shipped one, a file beside it, or a file in the project."""
    if name in packs.shipped_names():
        return packs.shipped_pack(name)
    beside = folder / name
    return pack_named(str(beside if beside.is_file() or not (root / name).is_file() else root / name), root)


def _config(name: str, folder: Path, root: Path) -> Config:
    """A config that a file of cases names: a file beside it, or in the project."""
    beside = folder / name
    return load_config(beside if beside.is_file() else root / name).config
