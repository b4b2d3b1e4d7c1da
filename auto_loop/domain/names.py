"""Names that files and folders can carry."""

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
