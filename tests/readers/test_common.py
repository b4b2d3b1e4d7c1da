"""The front desk for outside scripts: what it hands out really works from there."""

import pytest

from auto_loop import common
from tests.readers import encode


def test_everything_it_promises_is_there():
    assert all(hasattr(common, name) for name in common.__all__)


@pytest.mark.parametrize("place", ["metrics.jsonl", "wandb-history.jsonl", "run-a.wandb", "a.log.jsonl"])
def test_any_history_file_is_parsed(tmp_path, place):
    file = tmp_path / place
    lines = b'{"_step": 1, "train/loss": 2.0}\n{"_step": 2, "train/loss": 1.0}\n'
    records = [encode.history(n, n, {"train/loss": 3.0 - n}) for n in (1, 2)]
    file.write_bytes(encode.log_file(records) if file.suffix == ".wandb" else lines)
    series = common.parse_history(file)
    stats = common.summarise(series, common.usual_direction)["train/loss"]
    assert (stats.first, stats.last, stats.delta, stats.pct) == (2.0, 1.0, -1.0, -50.0)


def test_a_runs_folder_is_parsed_and_an_empty_one_is_empty(tmp_path):
    assert common.parse_history(str(tmp_path)) == {}
    (tmp_path / "metrics.jsonl").write_text('{"step": 5, "loss": 1}\n')
    assert common.parse_history(tmp_path)["loss"].steps.tolist() == [5]


def test_the_names_that_mean_one_metric():
    pack = common.shipped_pack("act_ot")
    assert pack.canonical("ot_pi_sum") == pack.canonical("train/ot_pi_sum")
