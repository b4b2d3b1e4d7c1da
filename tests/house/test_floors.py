"""The floors: import-linter's contracts hold for the house as it stands, and would break if somebody broke them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports('setup.cfg', no_cache=True))"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter in a process of its own, as it imports by name what lies in its working folder."""
    wide = {**os.environ, "COLUMNS": "200"}  # one line a contract
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, env=wide, capture_output=True, text=True, check=False
    )


def test_every_contract_of_the_house_is_kept() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("stray", "text", "contract"),
    [
        ("domain/stray.py", "import auto_loop.ledger\n", "Floors"),
        ("rules/stray.py", "import auto_loop.readers\n", "Floors"),
        ("stray.py", "", "Floors"),
        ("trainers/stray.py", "import auto_loop.domain\n", "Yard: trainers"),
        ("cli/stray.py", "import auto_loop.runner.schema\n", "Yard: nothing"),
        ("loop/stray.py", "import pandas\n", "Heavy packages"),
        ("domain/stray.py", "import time\n", "Domain"),
    ],
)
def test_a_stray_import_breaks_a_contract(tmp_path: Path, stray: str, text: str, contract: str) -> None:
    copy = tmp_path / "auto_loop"
    shutil.copytree(ROOT / "auto_loop", copy, ignore=lambda _, names: [n for n in names if n == "__pycache__"])
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    (copy / stray).write_text(text, encoding="utf-8")
    result = lint(tmp_path)
    assert result.returncode != 0
    broken = [line for line in result.stdout.splitlines() if line.startswith(contract) and "BROKEN" in line]
    assert broken, result.stdout + result.stderr
