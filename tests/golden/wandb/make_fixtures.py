"""Makes the `.wandb` fixtures beside this file, one folder a version: `python make_fixtures.py [VERSION...]`.

    <version>/part1, part2    a run folder as that wandb left it, and the folder of its resumption
    <version>/expected.json   {"parts": [decoded part 1, decoded part 2], "merged": rows by step, the later part wins}

Expected rows come from wandb's own protobuf classes (`decode.py`) and are checked against what the programme meant to
log. The versions must be there: `python -m tests.wandb_versions install`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from tests.golden.wandb.decode import flat  # noqa: E402 (needs the path above)
from tests.wandb_versions import VERSIONS, python, python_path  # noqa: E402 # after the path is set


def environment(version: str, folder: Path) -> dict[str, str]:
    """Nothing of this machine or its user may end up in a fixture."""
    settings = {
        "DISABLE_GIT": "true",
        "DISABLE_CODE": "true",
        "_DISABLE_META": "true",
        "_DISABLE_STATS": "true",
        "_DISABLE_MACHINE_INFO": "true",
        "_SAVE_REQUIREMENTS": "false",
        "X_DISABLE_META": "true",
        "X_DISABLE_STATS": "true",
        "X_DISABLE_MACHINE_INFO": "true",
        "X_SAVE_REQUIREMENTS": "false",
        "CONSOLE": "off",
        "HOST": "fixture",
        "USERNAME": "fixture",
        "EMAIL": "fixture@example.com",
        "PROGRAM": "log_program.py",
        "ERROR_REPORTING": "false",
        "SILENT": "true",
        "DIR": str(folder),
    }
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": python_path(version),
        **{f"WANDB_{name}": value for name, value in settings.items()},
        **{f"WANDB_{name}_DIR": str(folder / "state") for name in ("CACHE", "CONFIG", "DATA")},
    }


def make(version: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        env = environment(version, folder)
        for part in ("1", "2"):
            subprocess.run([python(), "-W", "ignore", HERE / "log_program.py", part], cwd=folder, env=env, check=True)
            subprocess.run(["sleep", "1.1"], check=True)  # run folders are named by the second
        target = HERE / version
        shutil.rmtree(target, ignore_errors=True)
        run_folders = sorted((folder / "wandb").glob("offline-run-*"))
        assert len(run_folders) == 2, run_folders
        parts = [keep(source, target / f"part{number}", env) for number, source in enumerate(run_folders, start=1)]
        intended = [json.loads((folder / f"intended_{part}.json").read_text()) for part in (1, 2)]
        for part, rows in zip(parts, intended, strict=True):
            check(part["rows"], rows)
    merged: dict[int, dict] = {}
    for part in parts:
        for row in part["rows"]:
            merged.setdefault(row["_step"], {}).update(row)
    expected = {"parts": parts, "merged": [merged[step] for step in sorted(merged)]}
    (target / "expected.json").write_text(json.dumps(expected, indent=0, sort_keys=True) + "\n")


def keep(source: Path, target: Path, env: dict[str, str]) -> dict:
    """Copies what a reader looks at, and returns the decoded run."""
    (target / "files").mkdir(parents=True)
    (file,) = source.glob("run-*.wandb")
    shutil.copy(file, target / file.name)
    for name in ("wandb-summary.json", "config.yaml"):
        if (source / "files" / name).exists():
            shutil.copy(source / "files" / name, target / "files" / name)
    (target / "files" / ".keep").touch()
    done = subprocess.run([python(), HERE / "decode.py", file], env=env, check=True, capture_output=True, text=True)
    decoded = json.loads(done.stdout)
    assert decoded.pop("ended")
    return decoded


def check(rows: list[dict], intended: dict[str, dict]) -> None:
    got = {str(row["_step"]): {k: v for k, v in row.items() if not k.startswith("_")} for row in rows}
    wanted = {step: dict(flat(row, "")) for step, row in intended.items()}
    if repr(sorted_rows(got)) != repr(sorted_rows(wanted)):  # repr, as nan is not equal to nan
        raise SystemExit(f"wandb did not write what was logged:\n{sorted_rows(got)}\n{sorted_rows(wanted)}"[:4000])


def sorted_rows(rows: dict[str, dict]) -> dict:
    return {step: {key: plain(rows[step][key]) for key in sorted(rows[step])} for step in sorted(rows, key=int)}


def plain(value: object) -> object:
    """1.0 as 1: wandb's Go core does not keep the point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


if __name__ == "__main__":
    for name in sys.argv[1:] or VERSIONS:
        make(name)
        print(name)
