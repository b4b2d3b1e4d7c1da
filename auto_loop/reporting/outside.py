"""Text from outside (reasons, causes, files), fit to be shown: secrets masked, the project's own folder left out."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePath

from auto_loop.domain.secrets import masked
from auto_loop.reporting.lens import Lens


def near(file: str, root: str) -> str:
    """`file` relative to `root` with forward slashes if it lies below, else as it is."""
    if "\\" not in root:  # as nearly always; a path made of parts costs twenty times as much, ten thousand times over
        return file[len(root) + 1 :] if root and file.startswith(f"{root}/") else file
    place = PurePath(file)
    return place.relative_to(root).as_posix() if root and file and place.is_relative_to(root) else file


def said(text: str, lens: Lens) -> str:
    """`text` with secrets masked, and files of the project without the way to the project."""
    return _masked(text.replace(f"{lens.root}/", "") if lens.root else text, lens.secrets)


@lru_cache(maxsize=10_000)
def _masked(text: str, known: tuple[str, ...]) -> str:
    """A study says the same edits and reasons over and over; each is looked through once."""
    return masked(text, known)


def all_said(texts: Iterable[str], lens: Lens) -> tuple[str, ...]:
    """Each of `texts` as `said` gives it."""
    return tuple(said(text, lens) for text in texts)
