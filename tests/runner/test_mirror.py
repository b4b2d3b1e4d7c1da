"""The mirror over a stand-in for wandb's `Run`, for what eight versions need not be asked: what it survives."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

RUNNER = Path(__file__).resolve().parents[2] / "auto_loop" / "runner"

STAND_IN = """
import os, time
class Run:
    def __init__(self, folder, **settings):
        self._settings = type("Settings", (), {"files_dir": folder, **settings})()
        self._step, self._start_time = 0, time.time()
    def _log(self, data, step=None, commit=None):
        if not isinstance(data, dict):
            raise TypeError("wandb.log must be passed a dictionary")
    def log(self, data, step=None, commit=None):
        self._log(data=data, step=step, commit=commit)
"""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as run.py loads it: by path, and new for each test, as it says things once a process."""
    monkeypatch.setenv("WANDB_IGNORE_GLOBS", "*.pth")
    spec = importlib.util.spec_from_file_location("mirror_under_test", RUNNER / "mirror.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_class(mirror: ModuleType) -> type:
    stand_in = ModuleType("stand_in")
    exec(STAND_IN, vars(stand_in))  # noqa: S102 (our own text)
    mirror.attach(stand_in)
    return stand_in.Run


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "wandb-history.jsonl").read_text().splitlines() if line]


def test_the_file_is_kept_out_of_the_upload_beside_the_users_own_globs(run_class: type) -> None:
    assert os.environ["WANDB_IGNORE_GLOBS"] == "*.pth,wandb-history.jsonl"


def test_a_refused_call_is_no_row(run_class: type, tmp_path: Path) -> None:
    run = run_class(str(tmp_path))
    with pytest.raises(TypeError, match="must be passed a dictionary"):
        run.log(5)
    run.log({"a": 1})
    assert [row["a"] for row in rows(tmp_path)] == [1]


def test_no_folder_is_said_once_and_logging_goes_on(
    run_class: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("gone", "gone too"):
        run = run_class(str(tmp_path / folder))
        for value in range(3):
            run.log({"a": value})
    assert capsys.readouterr().err.count("not (wholly) mirrored: FileNotFoundError") == 1


def test_a_value_that_json_cannot_hold_costs_its_row_alone(
    run_class: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_class(str(tmp_path))
    ring: dict = {}
    ring["ring"] = ring
    for value in (1, {(1, 2): 3}, ring, 2, object()):
        run.log({"a": value})
    assert [row["a"] for row in rows(tmp_path)] == [1, 2, {"_type": "object"}]
    assert capsys.readouterr().err.count("auto_loop") == 2  # a TypeError and a ValueError


def test_no_other_file_is_ever_written_to(run_class: type, tmp_path: Path) -> None:
    """A script that closes all descriptors and opens its own gets the mirror's number for it."""
    run = run_class(str(tmp_path))
    run.log({"a": 1})
    (number,) = [
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if os.path.realpath(entry) == str(tmp_path / "wandb-history.jsonl")
    ]
    foreign = os.open(tmp_path / "foreign", os.O_WRONLY | os.O_CREAT)
    os.dup2(foreign, number)
    run.log({"a": 2})
    del run
    os.write(number, b"still open")
    os.close(number)
    os.close(foreign)
    assert (tmp_path / "foreign").read_text() == "still open"
    assert [row["a"] for row in rows(tmp_path)] == [1, 2]


def test_a_torn_last_line_is_closed_before_the_next(run_class: type, tmp_path: Path) -> None:
    (tmp_path / "wandb-history.jsonl").write_text('{"_step": 0, "a": 1}\n{"_step": 1, "a"')
    run_class(str(tmp_path)).log({"a": 3})
    lines = (tmp_path / "wandb-history.jsonl").read_text().splitlines()
    assert lines[1] == '{"_step": 1, "a"'
    assert json.loads(lines[2])["a"] == 3


def test_many_runs_in_one_process_keep_few_files_open(run_class: type, tmp_path: Path) -> None:
    runs = []
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs.append(run_class(str(folder)))
    for value in range(2):
        for run in runs:
            run.log({"a": value})
    files = [os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()]
    assert sum(file.startswith(str(tmp_path)) for file in files) <= 8
    assert all([row["a"] for row in rows(tmp_path / str(number))] == [0, 1] for number in range(30))


def test_values_become_what_wandb_makes_of_them(mirror: ModuleType) -> None:
    image = SimpleNamespace(_log_type="image-file")
    histogram = SimpleNamespace(_log_type="histogram", histogram=[1, 2], bins=[0, 1, 2])
    given = [np.float32(0.5), np.array([[2]]), np.arange(3), np.arange(33), image, histogram, {1}, b"x"]
    assert [mirror.plain(value) for value in given] == [
        0.5,
        2,
        [0, 1, 2],
        {"_type": "histogram"},
        {"_type": "image-file"},
        {"_type": "histogram", "values": [1, 2], "bins": [0, 1, 2]},
        [1],
        "x",
    ]


def test_tensors_become_numbers(mirror: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.tensor([2.0], requires_grad=True)
    given = [torch.tensor(0.5), weight, (weight * 2).sum(), torch.arange(3), torch.zeros(50), torch.tensor(True)]
    assert [mirror.plain(value) for value in given] == [0.5, 2.0, 4.0, [0, 1, 2], {"_type": "histogram"}, True]


def script_with_stand_in(folder: Path, text: str) -> None:
    package = folder / "wandb" / "sdk"
    package.mkdir(parents=True)
    (folder / "wandb" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "wandb_run.py").write_text(STAND_IN)
    (folder / "s.py").write_text(
        f"import os, sys\nfrom wandb.sdk.wandb_run import Run\nrun = Run({str(folder)!r})\n{text}"
    )


def test_a_mirror_that_comes_twice_writes_once(tmp_path: Path) -> None:
    """By `sitecustomize` from the parent's PYTHONPATH, and by run.py around the child."""
    script_with_stand_in(tmp_path, "run.log({'a': 1})\nprint(os.environ['PYTHONPATH'])")
    env = {**os.environ, "PYTHONPATH": str(RUNNER / "site")}
    command = [sys.executable, str(RUNNER / "run.py"), "s.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    assert [row["a"] for row in rows(tmp_path)] == [1]
    assert done.stdout.strip() == str(RUNNER / "site")


@pytest.mark.parametrize("killed_after", [1, 2, 10, 77])
def test_a_kill_keeps_every_row_whole(killed_after: int, tmp_path: Path) -> None:
    """Called as a script imports wandb: through the finder that `install` leaves."""
    script_with_stand_in(
        tmp_path,
        f"""
for number in range({killed_after}):
    run.log({{"number": number, "text": "x" * 5000}})
os.kill(os.getpid(), {signal.SIGKILL})
""",
    )
    done = subprocess.run([sys.executable, str(RUNNER / "run.py"), "s.py"], cwd=tmp_path, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [row["number"] for row in rows(tmp_path)] == list(range(killed_after))
