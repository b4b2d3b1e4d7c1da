"""Names that files and folders can carry."""

from collections.abc import Iterable

# A file's name holds 255 bytes; so many are left for what is put before and behind a job's name, or a config's.
NAME_BYTES = 180
_END = 12


def within(name: str, most: int = NAME_BYTES) -> str:
    """`name` in at most `most` bytes of UTF-8: of a longer one the beginning and the end, which tell variants apart."""
    data = name.encode(errors="surrogateescape")
    if len(data) <= most:
        return name
    end = name[-_END:]
    room = most - len(end.encode(errors="surrogateescape")) - 1
    return f"{data[:room].decode(errors='ignore')}~{end}"


def free_name(stem: str, taken: Iterable[str]) -> str:
    """`stem`, or the first of `stem-2`, `stem-3`, ... that is not taken: a job's name is one in its loop.

    A stem too long for the names of logs and folders is cut.
    """
    names, stem = set(taken), within(stem)
    if stem not in names:
        return stem
    number = 2
    while f"{stem}-{number}" in names:
        number += 1
    return f"{stem}-{number}"
