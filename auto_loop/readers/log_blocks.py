"""The log format under a `.wandb` file: records cut into chunks, chunks packed into blocks of 32 KiB.

A chunk is u32 crc, u16 length, u8 type (1 full, 2 first, 3 middle, 4 last), payload; crc = zlib.crc32(type + payload).
No chunk crosses a block; fewer than 7 bytes left in a block are padding. The first block holds a 7-byte file header.
Format: LevelDB's log_format.md, with W&B's header and plain CRC-32.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER = b":W&B\xe1\xbe\x00"
BLOCK = 32768
CHUNK_HEADER = 7
SLAB = 32 * BLOCK
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# Tags of a `Record`'s number (field 1, varint) and of its summary (field 3, message).
_NUMBER_TAG, _SUMMARY_TAG = b"\x08", b"\x1a"

_KIND = re.compile(rb"[\x01-\x04]")
SEARCHES = 200  # after so many damaged places a file is hardly W&B's: go by whole blocks, to come to an end soon

_unpack = struct.Struct("<IHB").unpack_from


@dataclass(slots=True)
class Damage:
    """What was skipped in a file, and where it began."""

    wrong_header: bool = False
    places: int = 0
    skipped_bytes: int = 0
    first_at: int = 0
    torn_bytes: int = 0

    def skip(self, at: int, size: int) -> None:
        """`size` bytes from `at` on could not be read."""
        self.first_at = self.first_at if self.places else at
        self.places += 1
        self.skipped_bytes += size

    def notes(self, name: str) -> tuple[str, ...]:
        """One sentence for each kind of damage."""
        said = []
        if self.wrong_header:
            said.append(f"{name}: the header is not W&B's")
        if self.places:
            said.append(
                f"{name}: {self.skipped_bytes} damaged bytes were skipped in {self.places} places, "
                f"the first at byte {self.first_at}"
            )
        if self.torn_bytes:
            said.append(f"{name}: its last {self.torn_bytes} bytes are no whole record (it lives, or was killed)")
        return tuple(said)


class LogRecords:
    """The records of one file from `offset` on, summaries left out; iterate once, then ask for `offset` and `damage`.

    `offset` follows behind the last record that came whole, so that reading can go on there. Damage costs what it hits:
    reading goes on at the next sound chunk.
    """

    def __init__(self, file: Path, offset: int, limit: int | None = None) -> None:
        self._file = file
        self._limit = limit
        self._parts: list[bytes] = []
        self.offset = offset
        self.damage = Damage()

    def __iter__(self) -> Iterator[bytes]:
        begin = self.offset
        base = begin - begin % BLOCK
        with self._file.open("rb") as stream:
            stream.seek(base)
            while True:
                slab = stream.read(SLAB)
                yield from self._slab(slab, base, self._first_chunk(slab, begin, base))
                base += len(slab)
                if len(slab) < SLAB:  # the end as it is now: what comes meanwhile is the next tail's
                    break
                if self._limit is not None and self.offset - begin >= self._limit:
                    return
        rest = base - self.offset
        self.damage.torn_bytes = rest if rest >= CHUNK_HEADER or self._parts else 0

    def _first_chunk(self, slab: bytes, begin: int, base: int) -> int:
        """Where in a slab to begin: at its start, but for the file's header and for what was read before."""
        if begin == 0 and base == 0:
            self.damage.wrong_header = slab[: len(HEADER)] != HEADER
            self.offset = min(len(HEADER), len(slab))
            return len(HEADER)
        return max(begin - base, 0)

    def _slab(self, slab: bytes, base: int, at: int) -> Iterator[bytes]:
        """The records that end in one slab (whole blocks, but for the file's end), from `at` on."""
        size, crc32, view = len(slab), zlib.crc32, memoryview(slab)
        while at + CHUNK_HEADER <= size:
            left = BLOCK - at % BLOCK
            if left < CHUNK_HEADER:
                at += left
                continue
            crc, length, kind = _unpack(slab, at)
            end = at + CHUNK_HEADER + length
            if length + CHUNK_HEADER > left or end > size or crc32(view[at + 6 : end]) != crc or not 1 <= kind <= 4:
                after = self._next_sound(slab, at)
                if after is None:  # the file's last block may still be on its way: begin here again next time
                    return
                self._lose(base + at, after - at)
                at = after
                continue
            if kind == FULL:
                self._parts.clear()
                self.offset = base + end
                if not is_summary(slab, at + CHUNK_HEADER):
                    yield slab[at + CHUNK_HEADER : end]
            elif (record := self._join(kind, slab[at + CHUNK_HEADER : end])) is not None:
                self.offset = base + end
                if not is_summary(record, 0):
                    yield record
            at = end

    def _join(self, kind: int, chunk: bytes) -> bytes | None:
        """The whole record when `chunk` is its last part. Parts without their first were damaged, and are dropped."""
        if kind == FIRST:
            self._parts[:] = [chunk]
        elif self._parts:
            self._parts.append(chunk)
        if kind != LAST:
            return None
        record = b"".join(self._parts)
        self._parts.clear()
        return record

    def _lose(self, at: int, size: int) -> None:
        self._parts.clear()
        self.damage.skip(at, size)
        self.offset = at + size

    def _next_sound(self, slab: bytes, at: int) -> int | None:
        """The next place after the chunk at `at` to go on: a sound chunk in its block, else the next block, if any."""
        block_end = at - at % BLOCK + BLOCK
        end = min(block_end, len(slab))
        if self.damage.places < SEARCHES:
            for found in _KIND.finditer(slab, at + CHUNK_HEADER, end):
                if is_sound(slab, found.start() - 6, end):
                    return found.start() - 6
        return block_end if block_end <= len(slab) else None


def is_sound(slab: bytes, at: int, end: int) -> bool:
    """Whether a chunk stands at `at`, whole before `end`, and with the checksum that it claims."""
    crc, length, _ = _unpack(slab, at)
    last = at + CHUNK_HEADER + length
    return bool(last <= end and zlib.crc32(memoryview(slab)[at + 6 : last]) == crc)


def is_summary(data: bytes, at: int) -> bool:
    """Whether the record that begins at `at` is a summary: by its tag, which follows the record's number."""
    if data[at : at + 1] != _NUMBER_TAG:
        return data[at : at + 1] == _SUMMARY_TAG
    at += 1
    while at < len(data) and data[at] >= 0x80:
        at += 1
    return data[at + 1 : at + 2] == _SUMMARY_TAG
