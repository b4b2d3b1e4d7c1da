"""The `.wandb` files that eight real versions of wandb left: read whole, as wandb's own protobuf classes read them."""

import json
import math
import shutil
from pathlib import Path

import pytest

from auto_loop.domain.series import Source
from auto_loop.readers.registry import read_run
from auto_loop.readers.run_folders import run_folders
from auto_loop.readers.wandb_datastore import exit_code, run_record, wandb_datastore

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "wandb"
VERSIONS = sorted(path.parent.name for path in GOLDEN.glob("*/expected.json"))


@pytest.fixture(params=VERSIONS)
def version(request) -> str:
    return request.param


def copy_parts(version: str, folder: Path, parts: tuple[int, ...]) -> None:
    """Lays the fixture out as wandb did: a resumed run has a second folder with the same id."""
    for part in parts:
        shutil.copytree(
            GOLDEN / version / f"part{part}", folder / "wandb" / f"offline-run-2026010{part}_000000-fixture01"
        )


def numeric(rows: list[dict]) -> dict[str, dict[int, float]]:
    """Expected points by metric: numbers only, W&B's own columns aside."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and not name.startswith("_"):
                found.setdefault(name, {})[row["_step"]] = value
    return found


def assert_same(series, expected: dict[str, dict[int, float]]) -> None:
    assert sorted(series) == sorted(expected)
    for name, points in expected.items():
        assert series[name].steps.tolist() == sorted(points)
        for value, wanted in zip(series[name].values, (points[step] for step in sorted(points)), strict=True):
            assert value == wanted or (math.isnan(value) and math.isnan(wanted))


def test_the_eight_versions_are_there():
    assert len(VERSIONS) == 8


@pytest.mark.parametrize("part", [1, 2])
def test_a_run_is_read_whole(version, part, tmp_path):
    copy_parts(version, tmp_path, (part,))
    expected = json.loads((GOLDEN / version / "expected.json").read_text())
    reading = wandb_datastore().read(tmp_path)
    assert_same(reading.series, numeric(expected["parts"][part - 1]["rows"]))
    assert (reading.notes, reading.run_id, reading.source) == ((), "fixture01", Source.WANDB)


def test_a_resumed_run_is_merged_and_the_later_part_wins(version, tmp_path):
    copy_parts(version, tmp_path, (1, 2))
    expected = json.loads((GOLDEN / version / "expected.json").read_text())
    reading = read_run(tmp_path)
    assert reading is not None
    assert_same(reading.series, numeric(expected["merged"]))
    assert reading.wandb_url == ""  # offline


def test_the_run_says_who_it_is_and_how_it_ended(version, tmp_path):
    copy_parts(version, tmp_path, (1,))
    wanted = json.loads((GOLDEN / version / "expected.json").read_text())["parts"][0]["run"]
    ((one,),) = run_folders(tmp_path)
    record = run_record(one)
    assert record is not None
    assert {name: getattr(record, name) for name in wanted} == wanted
    assert exit_code(one) == 0


def test_a_tail_in_pieces_gives_the_same_points(version, tmp_path):
    copy_parts(version, tmp_path, (1,))
    (file,) = tmp_path.glob("wandb/*/run-*.wandb")
    data = file.read_bytes()
    file.write_bytes(b"")
    reader, cursor, points = wandb_datastore(), None, []
    for end in [7, *range(1000, len(data), 7001), len(data)]:
        with file.open("ab") as stream:
            stream.write(data[file.stat().st_size : end])
        new, cursor = reader.tail(tmp_path, cursor)
        points.extend(new)
    whole = reader.read(tmp_path).series
    assert {name: {p.step: p.value for p in points if p.name == name}.keys() for name in whole} == {
        name: dict.fromkeys(one.steps.tolist()).keys() for name, one in whole.items()
    }
    assert len({(p.name, p.step) for p in points}) == sum(len(one.steps) for one in whole.values())
