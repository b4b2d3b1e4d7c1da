"""`analyze_offline` over a tree of runs: the mapping of the contract, and what broken runs cost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from auto_loop.cli.analyze_offline import analyze_offline
from auto_loop.rules import decide

ROOT = Path(__file__).resolve().parents[2]
STATS = ["first", "last", "best", "best_step", "delta", "pct", "n", "nan_count", "source"]


def put(file: Path, text: str, at: float = 100) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (at, at))


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    runs = Path("outputs/train/loop_1700000000")
    put(runs / "a" / "metrics.jsonl", '{"step": 1, "train/loss": 2.0}\n{"step": 9, "train/loss": NaN}\n', 100)
    put(runs / "a" / "train_config.json", '{"steps": 9}')
    line = json.dumps({"_step": 3, "train/ot_pi_sum": 1e-30, "eval/offline_eval/avg_l1": 0.5})
    put(runs / "b" / "wandb" / "run-20260101_000000-b" / "files" / "wandb-history.jsonl", line + "\n", 200)
    put(runs / "broken" / "metrics.jsonl", "\0\0\0", 300)
    return tmp_path


def call(*words: str):
    return CliRunner().invoke(analyze_offline, words)


def test_the_mapping_of_the_contract_the_latest_written_first(tree):
    done = call("--out-json", "reports/data/offline.json")
    assert done.exit_code == 0
    mapping = json.loads(Path("reports/data/offline.json").read_text())
    assert list(mapping) == ["outputs/train/loop_1700000000/b", "outputs/train/loop_1700000000/a"]
    a = mapping["outputs/train/loop_1700000000/a"]
    assert list(a) == ["config", "config_file", "run_dir", "outcome", "wandb_url", "metrics"]
    assert (a["config"], a["outcome"]) == ({"steps": 9}, None)
    values = [2.0, 2.0, 2.0, 1, None, None, 1, 1, "metrics.jsonl"]
    assert a["metrics"] == {"train/loss": dict(zip(STATS, values, strict=True))}


def test_the_table_names_runs_sources_and_metrics(tree):
    done = call()
    first, second = done.stdout.splitlines()
    assert "loop_1700000000/b" in first
    assert "wandb-history.jsonl" in first
    assert "avg_l1 0.5" in first
    assert "train/loss 2" in second


def test_json_is_printed_alone_on_stdout(tree):
    done = call("--json", "--limit", "2")
    assert list(json.loads(done.stdout)) == ["outputs/train/loop_1700000000/b"]  # the broken run is the newest


def test_a_broken_run_costs_a_line_on_stderr(tree):
    done = call("--json")
    assert "loop_1700000000/broken: left out: no readable metrics" in done.stderr
    assert len(json.loads(done.stdout)) == 2


def test_an_error_in_one_run_does_not_cost_the_others(tree, monkeypatch):
    monkeypatch.setattr("auto_loop.readers.summaries.find_config", lambda folder: 1 / 0 if folder.name == "a" else None)
    done = call("--json")
    assert done.exit_code == 0
    assert "ZeroDivisionError" in done.stderr
    assert list(json.loads(done.stdout)) == ["outputs/train/loop_1700000000/b"]


def test_a_root_that_is_not_there_is_a_misuse(tree):
    done = call("--outputs-root", "nowhere")
    assert done.exit_code == 2
    assert "nowhere: no such folder" in done.stderr


def test_no_runs_are_an_empty_mapping(tmp_path):
    assert json.loads(call("--outputs-root", str(tmp_path), "--json").stdout) == {}
    assert call("--outputs-root", str(tmp_path)).stdout == "No runs with readable metrics.\n"


def test_decide_takes_what_is_written(tree):
    mapping = json.loads(call("--json").stdout)
    assert isinstance(decide(mapping["outputs/train/loop_1700000000/b"]), list)


@pytest.mark.parametrize(
    "words", [["-m", "auto_loop.analyze_offline"], [str(ROOT / "auto_loop" / "analyze_offline.py")]]
)
def test_both_ways_to_start_it(tree, words):
    env = {**os.environ, "PYTHONPATH": str(ROOT) if words[0] == "-m" else ""}
    done = subprocess.run([sys.executable, *words, "--json"], capture_output=True, text=True, env=env, check=True)
    assert len(json.loads(done.stdout)) == 2
