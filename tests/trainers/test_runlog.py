"""Lines on disk at once, windows that average, and a log that a resumed run continues."""

import json
import math
from pathlib import Path

from auto_loop.trainers.runlog import RunLog, Window


def test_a_line_is_readable_as_soon_as_it_is_written(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "metrics.jsonl")
    log.write(1, {"a": 0.5, "b": math.nan})
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line["step"] == 1
    assert line["a"] == 0.5
    assert math.isnan(line["b"])
    log.close()


def test_a_resumed_log_drops_later_and_torn_lines(tmp_path: Path) -> None:
    place = tmp_path / "metrics.jsonl"
    place.write_text('{"step": 5, "a": 1}\n{"step": 10, "a": 2}\n{"step": 1')
    log = RunLog(place, keep_to_step=5)
    log.write(10, {"a": 3})
    log.close()
    assert [json.loads(line) for line in place.read_text().splitlines()] == [{"step": 5, "a": 1}, {"step": 10, "a": 3}]


def test_a_window_averages_and_counts_and_survives_a_checkpoint() -> None:
    window = Window(frozenset({"warnings"}))
    window.add({"a": 1.0, "warnings": 1.0})
    resumed = Window(frozenset({"warnings"}))
    resumed.restore(json.loads(json.dumps(window.state())))
    resumed.add({"a": 2.0, "warnings": 1.0})
    assert resumed.take() == {"a": 1.5, "warnings": 2.0}
    assert resumed.take() == {}
