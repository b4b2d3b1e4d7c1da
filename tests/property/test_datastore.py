"""Laws of the `.wandb` reader: what was written is read back; a cut or a flipped byte costs what it hits, no more."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.readers.base import FilePlace
from auto_loop.readers.log_blocks import BLOCK
from auto_loop.readers.wandb_datastore import DatastoreRows
from tests.readers import encode

START = FilePlace(inode=0, offset=0)
names = st.text(min_size=1, max_size=12).filter(lambda name: not name.startswith("_"))
values = (
    st.floats(allow_nan=True, allow_infinity=True)
    | st.integers(-(2**70), 2**70)
    | st.booleans()
    | st.none()
    | st.text(max_size=300)
)
rows = st.lists(st.tuples(st.integers(0, 2**45), st.dictionaries(names, values, max_size=6)), max_size=12)
# Long enough to run over a block's end.
long_rows = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 20_000)), min_size=1, max_size=8)


def read(data: bytes, begin: FilePlace = START) -> tuple[list[tuple[int, dict[str, float]]], DatastoreRows]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run-x.wandb"
        file.write_bytes(data)
        scan = DatastoreRows(file, begin)
        return [(row.step, dict(zip(row.names, row.values, strict=True))) for row in scan], scan


def expected(row: dict[str, object]) -> dict[str, float]:
    words = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    said = {name: words.get(value, value) if isinstance(value, str) else value for name, value in row.items()}
    return {n: float(v) for n, v in said.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}


def same(a, b) -> bool:
    return repr([(s, sorted(r.items())) for s, r in a]) == repr([(s, sorted(r.items())) for s, r in b])


def written(pairs, nested: bool = True) -> list[bytes]:
    records = [encode.run(0, "x", "", "p", "name")]
    for number, (step, row) in enumerate(pairs):
        records += [encode.history(number, step, row, nested=nested), encode.summary(number, row)]
    return [*records, encode.ended(9, 0)]


def long_file(pairs) -> tuple[list[bytes], list[tuple[int, dict[str, float]]]]:
    """Records with a text of each length beside a number, and the rows that they hold."""
    told = [(step, {"loss": step + 0.5, "text": "x" * length}) for step, length in pairs]
    return written(told), [(step, expected(row)) for step, row in told]


@given(rows, st.booleans())
def test_what_was_written_is_read_back(pairs, nested):
    found, scan = read(encode.log_file(written(pairs, nested)))
    assert same(found, [(step, expected(row)) for step, row in pairs])
    assert scan.notes == ()


@given(long_rows)
def test_records_that_run_over_blocks_are_joined(pairs):
    records, told = long_file(pairs)
    found, scan = read(encode.log_file(records))
    assert same(found, told)
    assert scan.notes == ()


@given(long_rows, st.floats(0, 1))
def test_a_cut_file_keeps_every_whole_row_and_goes_on_where_it_was_cut(pairs, share):
    records, told = long_file(pairs)
    data = encode.log_file(records)
    cut = int(share * len(data))
    found, scan = read(data[:cut])
    assert same(found, told[: len(found)])
    whole = sum(len(data_until) <= cut for data_until in prefixes(records))
    assert len(found) == whole
    rest, _ = read(data, scan.place)
    assert same(found + rest, told)


def prefixes(records: list[bytes]) -> list[bytes]:
    """The file up to the end of each history record."""
    return [encode.log_file(records[: 2 * n + 2]) for n in range((len(records) - 2) // 2)]


@settings(max_examples=300)
@given(long_rows, st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_flipped_byte_costs_at_most_what_stands_around_it(pairs, share, mask):
    records, told = long_file(pairs)
    data = bytearray(encode.log_file(records))
    at = int(share * len(data))
    data[at] ^= mask
    found, scan = read(bytes(data))
    lost = [row for row in told if not any(same([row], [one]) for one in found)]
    assert all(any(same([one], [row]) for row in told) for one in found)
    assert len(found) >= len(told) - max(1, len(lost))
    if found != told and lost:
        assert scan.notes
    assert len(told) - len(found) <= 1


@given(st.binary(max_size=3 * BLOCK))
def test_any_bytes_are_read_without_an_error(data):
    for head in (b"", encode.HEADER):
        _, scan = read(head + data)
        assert scan.place.offset <= len(head + data)


@given(rows, st.binary(min_size=1, max_size=200), st.integers(0, 2000))
def test_any_bytes_in_the_place_of_others(pairs, noise, at):
    data = bytearray(encode.log_file(written(pairs)))
    data[at : at + len(noise)] = noise
    read(bytes(data))


@given(st.binary(max_size=300))
def test_any_record_with_a_good_checksum_is_read_without_an_error(payload):
    read(encode.log_file([payload, b"\x08\x01" + payload, encode.record(1, 2, payload)]))
