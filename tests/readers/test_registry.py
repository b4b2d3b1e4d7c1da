"""What the readers give together: one source wins whole, a tail keeps to it, and a URL is found where there is one."""

import json
from pathlib import Path

import pytest

from auto_loop.domain.series import Source
from auto_loop.readers.base import Reading
from auto_loop.readers.registry import looked_for, read_run, tail_run
from auto_loop.readers.url import find_wandb_url
from tests.readers import encode

ONLINE = Path("wandb", "run-20260101_000000-abc")
OFFLINE = Path("wandb", "offline-run-20260101_000000-abc")


def put(folder: Path, place: Path | str, data: bytes | dict) -> Path:
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")
    return folder


def put_all(folder: Path, run: Path = OFFLINE) -> None:
    """All four sources, each with a metric of its own name."""
    put(folder, run / "files/wandb-history.jsonl", {"_step": 1, "mirror": 1.0})
    put(folder, "metrics.jsonl", {"step": 1, "metrics": 1.0})
    records = [encode.run(1, "abc", "me", "cars", "name"), encode.history(2, 1, {"datastore": 1.0})]
    put(folder, run / "run-abc.wandb", encode.log_file(records))
    put(folder, run / "files/wandb-summary.json", {"_step": 1, "summary": 1.0})


def test_one_source_wins_whole_in_the_order_of_sources(tmp_path):
    put_all(tmp_path)
    order = [
        (Source.MIRROR, "mirror", OFFLINE / "files/wandb-history.jsonl"),
        (Source.METRICS, "metrics", "metrics.jsonl"),
        (Source.WANDB, "datastore", OFFLINE / "run-abc.wandb"),
        (Source.FINAL_ONLY, "summary", OFFLINE / "files/wandb-summary.json"),
    ]
    for source, name, place in order:
        reading = read_run(tmp_path)
        assert reading is not None
        assert (reading.source, list(reading.series)) == (source, [name])
        (tmp_path / place).unlink()
    assert read_run(tmp_path) is None


def test_a_source_without_numbers_does_not_win_and_what_was_amiss_there_is_said(tmp_path):
    put(tmp_path, OFFLINE / "files/wandb-history.jsonl", b'{"_step": 1, "note": "x"}\n{"_st\n')
    put(tmp_path, "metrics.jsonl", {"step": 1, "loss": 1.0})
    reading = read_run(tmp_path)
    assert reading is not None
    assert reading.source is Source.METRICS
    assert reading.notes == ("wandb-history.jsonl: 1 damaged lines were skipped",)


def test_the_files_looked_for_are_named():
    places = looked_for(Path("outputs/train/loop_1/job"))
    assert "outputs/train/loop_1/job/metrics.jsonl" in places
    assert any(place.endswith("files/wandb-history.jsonl") for place in places)
    assert any(place.endswith(".wandb") for place in places)


def test_a_tail_keeps_to_the_source_that_it_began_with(tmp_path):
    assert tail_run(tmp_path, None) == ([], None)
    put(tmp_path, "metrics.jsonl", {"step": 1, "loss": 1.0})
    points, cursor = tail_run(tmp_path, None)
    assert [(p.name, p.step, p.value) for p in points] == [("loss", 1, 1.0)]
    put(tmp_path, OFFLINE / "files/wandb-history.jsonl", {"_step": 1, "mirror": 1.0})
    assert tail_run(tmp_path, cursor)[0] == []


def test_a_history_that_has_only_begun_does_not_hold_a_tail_up(tmp_path):
    put(tmp_path, OFFLINE / "run-abc.wandb", encode.HEADER)
    points, cursor = tail_run(tmp_path, None)
    assert (points, cursor) == ([], None)
    put(tmp_path, OFFLINE / "files/wandb-history.jsonl", {"_step": 1, "mirror": 1.0})
    assert [p.name for p in tail_run(tmp_path, None)[0]] == ["mirror"]


def test_a_long_backlog_comes_in_slices_and_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("auto_loop.readers.files.SLICE_BYTES", 40_000)
    records = [encode.history(n, n, {"loss": n, "text": "x" * 500}) for n in range(600)]
    put(tmp_path, OFFLINE / "run-abc.wandb", encode.log_file(records))
    slices, cursor = [], None
    while True:
        points, cursor = tail_run(tmp_path, cursor)
        if not points:
            break
        slices.append(points)
    assert [p.value for points in slices for p in points] == list(range(600))


def test_the_url_of_an_online_run_comes_from_its_record_and_an_offline_one_has_none(tmp_path):
    put_all(tmp_path / "on", ONLINE)
    put_all(tmp_path / "off", OFFLINE)
    online, offline = read_run(tmp_path / "on"), read_run(tmp_path / "off")
    assert online is not None
    assert offline is not None
    assert (online.wandb_url, offline.wandb_url) == ("https://wandb.ai/me/cars/runs/abc", "")


def test_without_an_entity_in_the_record_the_kept_output_is_asked(tmp_path):
    put(tmp_path, ONLINE / "files/wandb-history.jsonl", {"_step": 1, "mirror": 1.0})
    put(tmp_path, ONLINE / "run-abc.wandb", encode.log_file([encode.run(1, "abc", "", "cars", "name")]))
    put(tmp_path, ONLINE / "files/output.log", b"INFO Track this run --> https://wandb.ai/me/cars/runs/abc\n")
    reading = read_run(tmp_path)
    assert reading is not None
    assert reading.wandb_url == "https://wandb.ai/me/cars/runs/abc"


@pytest.mark.parametrize(
    ("log", "url"),
    [
        ("wandb: 🚀 View run at https://wandb.ai/me/cars/runs/abc\nstep 1", "https://wandb.ai/me/cars/runs/abc"),
        (
            "wandb: View run \x1b[33mlively-1\x1b[0m at: \x1b[34m\x1b[4mhttps://w.local/a/b/runs/c\x1b[0m\n",
            "https://w.local/a/b/runs/c",
        ),
        ("INFO \x1b[33m\x1b[1mTrack this run --> https://wandb.ai/a/b/runs/c\x1b[0m", "https://wandb.ai/a/b/runs/c"),
        (
            "View run at https://wandb.ai/a/b/runs/1\nView run at https://wandb.ai/a/b/runs/2.",
            "https://wandb.ai/a/b/runs/2",
        ),
        ("wandb: View project at https://wandb.ai/a/b", ""),
        ("see https://example.com", ""),
        ("", ""),
    ],
)
def test_the_url_that_a_job_printed(log, url):
    assert find_wandb_url(log) == url


def test_what_was_printed_goes_before_what_was_recorded():
    reading = Reading(source=Source.WANDB, wandb_url="https://wandb.ai/recorded")
    assert find_wandb_url("nothing", reading) == "https://wandb.ai/recorded"
    assert find_wandb_url("View run at https://w.local/x", reading) == "https://w.local/x"
