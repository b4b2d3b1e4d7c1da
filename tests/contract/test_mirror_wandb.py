"""The mirror's contract on eight versions of wandb: its rows are the rows that wandb itself wrote of the same calls."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contract.wandb_server import KEY, wandb_server
from tests.golden.wandb.decode import flat
from tests.wandb_versions import VERSIONS, missing, python, python_path

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "auto_loop" / "runner" / "run.py"
HERE = Path(__file__).resolve().parent
HISTORY = "wandb-history.jsonl"
CASES = ("steps", "values", "anything", "forked", "spawn", "forkserver")


def environment(version: str, folder: Path, **more: str) -> dict[str, str]:
    if version in missing():
        pytest.fail("wandb's versions are not there: python -m tests.wandb_versions install")
    quiet = ("X_DISABLE_STATS", "X_DISABLE_META", "X_DISABLE_MACHINE_INFO", "_DISABLE_STATS", "_DISABLE_META", "SILENT")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": python_path(version),
        "ORACLE": str(ROOT / "tests" / "golden" / "wandb"),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_CONSOLE": "off",
        **{f"WANDB_{name}": "true" for name in quiet},
        **{f"WANDB_{name}_DIR": str(folder / "state") for name in ("CACHE", "CONFIG", "DATA")},
        **more,
    }


def run_mirrored(version: str, program: Path, folder: Path, **more: str) -> str:
    """Runs the program to its end and returns what it said on stderr."""
    command = [python(), "-W", "ignore", str(RUN), str(program)]
    done = subprocess.run(
        command, cwd=folder, env=environment(version, folder, **more), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def history(run_folder: Path) -> Iterator[dict]:
    for line in (run_folder / "files" / HISTORY).read_text().splitlines():
        yield json.loads(line)


def merged(rows: Iterator[dict]) -> dict[int, dict]:
    """Rows by step, the later wins, without what wandb dropped and without the clock's columns."""
    steps: dict[int, dict] = {}
    for row in rows:
        if not row.get("_late"):
            steps.setdefault(row["_step"], {}).update(flat(row, ""))
    return comparable(steps)


def comparable(steps: Mapping[int, dict]) -> dict[int, dict]:
    """Without the clock's columns and empty rows, and of media the type alone."""
    kept = {}
    for step, row in sorted(steps.items()):
        media = tuple(key[: -len("_type")] for key in row if key.endswith("._type"))
        kept[step] = {
            key: plain(value)
            for key, value in sorted(row.items())
            if not key.startswith("_") and (not key.startswith(media) or key.endswith("._type"))
        }
    return {step: row for step, row in kept.items() if row}


def plain(value: object) -> object:
    """A nan as text, so that it equals itself; 1.0 as 1, as wandb's Go core does not keep the point."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else repr(value)
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module", params=VERSIONS)
def logged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """One process of each version that goes through all offline cases."""
    version = request.param
    folder = tmp_path_factory.mktemp(version)
    stderr = run_mirrored(version, HERE / "mirror_program.py", folder)
    result = json.loads((folder / "result.json").read_text())
    return {"stderr": stderr, "cases": result, "root": folder, "version": version}


@pytest.mark.parametrize("case", CASES)
def test_rows_equal_those_of_the_same_runs_wandb_file(logged: dict, case: str) -> None:
    recorded = logged["cases"][case]
    written = comparable({row["_step"]: row for row in recorded["rows"]})
    mirrored = merged(history(logged["root"] / recorded["folder"]))
    assert written
    assert mirrored == written


def test_rows_carry_step_and_clock_first(logged: dict) -> None:
    for row in history(logged["root"] / logged["cases"]["steps"]["folder"]):
        assert list(row)[:3] == ["_step", "_runtime", "_timestamp"]
        assert 0 <= row["_runtime"] < 600


def test_late_rows_are_marked(logged: dict) -> None:
    late = [row for row in history(logged["root"] / logged["cases"]["steps"]["folder"]) if row.get("_late")]
    assert [row["lost"] for row in late] == [1, 1]


def test_histogram_keeps_its_numbers(logged: dict) -> None:
    values = logged["cases"]["values"]
    (mirrored,) = [row["histogram"] for row in history(logged["root"] / values["folder"]) if "histogram" in row]
    (written,) = [row for row in values["rows"] if "histogram.values" in row]
    assert mirrored == {part: written[f"histogram.{part}"] for part in ("_type", "values", "bins")}


def test_nothing_was_said_and_no_other_run_was_mirrored(logged: dict) -> None:
    assert "auto_loop" not in logged["stderr"]
    assert len(list(logged["root"].rglob(HISTORY))) == len(CASES)


KILLED_AFTER = (1, 2, 3, 57, 101, 250, 5, 400)
ENDLESS = """
import sys, wandb
run = wandb.init(project="p", mode="offline", group="ranks")
print(run.dir, flush=True)
for i in range(10**9):
    run.log({"i": i, "nested": {"x": i / 3}, "text": "x" * 200})
    print(i, flush=True)
"""


@pytest.mark.parametrize(("version", "rows"), list(zip(VERSIONS, KILLED_AFTER, strict=True)))
def test_kill_at_any_row_loses_no_row_and_tears_none(version: str, rows: int, tmp_path: Path) -> None:
    """As rank 1, so that a rank beside the main one is shown to have a mirror of its own."""
    program = tmp_path / "endless.py"
    program.write_text(ENDLESS)
    env = environment(version, tmp_path, RANK="1", LOCAL_RANK="1", WORLD_SIZE="2")
    command = [python(), "-W", "ignore", str(RUN), str(program)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as job:
        assert job.stdout is not None
        folder = Path(job.stdout.readline().strip())
        for _ in range(rows):
            last = int(job.stdout.readline())
        os.killpg(job.pid, signal.SIGKILL)
        end_service(job.pid)
    lines = (folder / HISTORY).read_text().split("\n")
    assert lines[-1] == ""
    logged = [json.loads(line)["i"] for line in lines[:-1]]
    assert logged == list(range(len(logged)))
    assert len(logged) >= last + 1


def end_service(job: int) -> None:
    """0.16's service has a session of its own, blanks its environment, and outlives a job that was killed."""
    for name in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if name.read_bytes().startswith(f"wandb-service(2-{job}-".encode()):
                os.kill(int(name.parent.name), signal.SIGKILL)


ONLINE = """
import sys, wandb
for own in ({}, {"settings": wandb.Settings(ignore_globs=["x"])}):
    run = wandb.init(project="p", entity="e", mode="online", id="r1", **own)
    for i in range(5):
        run.log({"a": i})
    run.finish()
"""


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[1], VERSIONS[-1]])
def test_an_online_run_does_not_upload_the_mirror(version: str, tmp_path: Path) -> None:
    """Also where the script's own ignore_globs replace ours; only the oldest still uploads whatever is there."""
    program = tmp_path / "online.py"
    program.write_text(ONLINE)
    with wandb_server() as uploaded:
        said = run_mirrored(version, program, tmp_path, WANDB_BASE_URL=uploaded.url, WANDB_API_KEY=KEY)
    assert sorted(row["a"] for row in uploaded.rows) == sorted([*range(5), *range(5)])
    assert {name for name in uploaded.files if HISTORY in name} == {f"stream:{HISTORY}"}
    mirrored = [row["a"] for file in tmp_path.rglob(HISTORY) for row in history(file.parent.parent)]
    if version == VERSIONS[0]:
        assert mirrored == list(range(5))
        assert "ignore_globs" in said
    else:
        assert mirrored == [*range(5), *range(5)]
        assert "auto_loop" not in said


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
