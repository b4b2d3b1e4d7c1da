"""The style: what ruff and mypy say, and the few rules of taste that only a look at the files can hold."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("auto_loop", "tests", "benchmarks")
MOST_LINES = 400
NO_NAMES = {"util", "utils", "helper", "helpers", "misc", "manager", "managers", "handler", "handlers"}
RUNNER = ROOT / "auto_loop" / "runner"

# What silences a finding names it and then says why; the two patterns are put together so as not to match themselves.
_WORD = r"#\s*(?:no" + r"qa\b|type:\s*ign" + r"ore\b)"
SILENCED = re.compile(_WORD)
SAID_WHY = re.compile(_WORD + r"(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*|\[[\w,\s-]+\])[\s#:,;–-]+\S+\s+\S+")


def sources() -> Iterator[Path]:
    """Every Python file of the project, caches left out."""
    for place in PLACES:
        yield from (file for file in sorted((ROOT / place).rglob("*.py")) if "__pycache__" not in file.parts)


def listed(found: list[str]) -> str:
    return "\n".join(found)


@pytest.mark.parametrize("tool", [("ruff", "check", "--no-cache", "."), ("mypy",)], ids=["ruff", "mypy"])
def test_the_linter_has_nothing_to_say(tool: tuple[str, ...]) -> None:
    result = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_file_is_longer_than_the_wall() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in sources()}
    assert lengths
    long = [f"{file.relative_to(ROOT)}: {n} lines" for file, n in lengths.items() if n > MOST_LINES]
    assert not long, listed(long)


def test_no_file_is_called_by_a_name_that_says_nothing() -> None:
    named = [str(file.relative_to(ROOT)) for file in sources() if NO_NAMES & set(file.stem.split("_"))]
    folders = [str(folder.relative_to(ROOT)) for folder in (ROOT / "auto_loop").rglob("*/") if folder.name in NO_NAMES]
    assert not named + folders, listed(named + folders)


def test_whoever_silences_a_finding_says_why() -> None:
    silent = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sources()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if SILENCED.search(line) and not SAID_WHY.search(line)
    ]
    assert not silent, listed(silent)


def imported(tree: ast.AST) -> Iterator[str]:
    """The first part of every name that a file imports, wherever in it; `.` for a relative import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else (node.module or "").split(".")[0]


def test_the_runner_needs_only_an_old_python() -> None:
    """In the trainer's interpreter nothing of ours is installed: Python 3.9 and its standard library must do."""
    files = sorted(RUNNER.rglob("*.py"))
    siblings = {file.stem for file in files}
    assert siblings
    strange = []
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 9))
        foreign = set(imported(tree)) - sys.stdlib_module_names - siblings
        strange += [f"{file.relative_to(ROOT)}: {name}" for name in sorted(foreign)]
    assert not strange, listed(strange)
