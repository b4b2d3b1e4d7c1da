"""Claims, exits and inner causes with anything in them: recovery reads on, and every value it gets is of its type."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auto_loop.domain.job import Exit, Handle
from auto_loop.launch.claims import claimed
from auto_loop.launch.local import inner_cause, read_exit
from auto_loop.runner.keeper import dumps, earliest_cause

QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOKEN = "token1"
GOOD_EXIT = {"attempt": 1, "token": TOKEN, "returncode": 0, "ended_at": 5.0, "inner": None, "error": None}
GOOD_CLAIM = {"pid": 7, "start_time": 8, "boot_id": "b", "token": TOKEN}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def spoilt(good: dict[str, object]) -> st.SearchStrategy[bytes]:
    """The file with some fields gone or of another type, another JSON value, half of itself, or garbage."""
    fields = st.fixed_dictionaries({}, optional={name: anything | st.just(value) for name, value in good.items()})
    mostly = st.tuples(fields, st.just({"token": TOKEN})).map(lambda both: {**good, **both[0], **both[1]})
    text = (mostly | fields | anything).map(lambda value: json.dumps(value).encode())
    halves = st.tuples(text, st.floats(0, 1)).map(lambda cut: cut[0][: int(cut[1] * len(cut[0]))])
    return text | halves | st.binary(max_size=80)


@QUICK
@given(content=spoilt(GOOD_EXIT))
@example(json.dumps({**GOOD_EXIT, "returncode": "x"}).encode())
@example(json.dumps({**GOOD_EXIT, "inner": ["no mapping"]}).encode())
@example(json.dumps({**GOOD_EXIT, "ended_at": None}).encode())
@example(b"[]")
@example(b"")
@example(json.dumps({"token": TOKEN}).encode())
@example(json.dumps({**GOOD_EXIT, "ended_at": float("nan")}).encode())
@example(json.dumps({**GOOD_EXIT, "returncode": 2**70}).encode())
def test_an_exit_is_whole_or_it_is_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "exit"
    file.write_bytes(content)
    seen = read_exit(file, TOKEN)
    if seen is not None:
        assert type(seen.returncode) in (int, type(None))
        assert type(seen.ended_at) in (int, float)
        assert abs(seen.returncode or 0) < 2**63
        assert abs(seen.ended_at) < 2**63
        assert isinstance(seen.inner, str)
        assert isinstance(seen.error, str)


def test_a_good_exit_is_read_with_its_cause(tmp_path: Path) -> None:
    file = tmp_path / "exit"
    file.write_text(json.dumps({**GOOD_EXIT, "returncode": 1, "inner": {"type": "E", "message": "m"}}))
    assert read_exit(file, TOKEN) == Exit(returncode=1, ended_at=5.0, inner="E: m")


@QUICK
@given(content=spoilt(GOOD_CLAIM))
@example(b"[]")
@example(b"7")
@example(json.dumps({**GOOD_CLAIM, "pid": "x"}).encode())
@example(json.dumps({"pid": 7}).encode())
@example(json.dumps({**GOOD_CLAIM, "pid": 2**40}).encode())
@example(json.dumps({**GOOD_CLAIM, "pid": -1}).encode())
@example(json.dumps({"tombstone": False}).encode())
def test_a_claim_is_a_process_or_a_tombstone_or_leads_by_its_token(tmp_path: Path, content: bytes) -> None:
    """A claim that cannot be read may have run: it is taken for one by its token, never for one that never ran."""
    file = tmp_path / "claim"
    file.write_bytes(content)
    handle = claimed(file, "local", TOKEN)
    if handle is None:
        assert json.loads(content)["tombstone"]
    else:
        assert type(handle.pid) is int
        assert 0 <= handle.pid < 2**31
        assert type(handle.start_time) is int
        assert isinstance(handle.boot_id, str)
        assert isinstance(handle.reference, str)
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_good_claim_is_its_process(tmp_path: Path) -> None:
    file = tmp_path / "claim"
    file.write_text(json.dumps(GOOD_CLAIM))
    assert claimed(file, "local", TOKEN) == Handle(launcher="local", pid=7, start_time=8, boot_id="b", reference=TOKEN)


@QUICK
@given(contents=st.lists(spoilt({"type": "E", "message": "m", "signal": None, "at": 1.0}), max_size=3))
@example([b"[]"])
@example([b'{"at": 1.0}', b'{"at": "x"}'])
@example([b"7", b"null"])
@example([b'{"x": NaN, "y": [Infinity]}'])
def test_of_inner_causes_the_keeper_takes_what_can_be_read_and_the_house_makes_a_line_of_it(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    """A keeper that stumbles over a cause leaves no exit, and a night's result is lost."""
    folder = tmp_path_factory.mktemp("inner")
    for rank, content in enumerate(contents):
        (folder / ("x.inner" if rank == 0 else f"x.inner.rank{rank}")).write_bytes(content)
    told = dumps(earliest_cause(str(folder / "x.inner")))
    assert isinstance(inner_cause(json.loads(told)), str)
