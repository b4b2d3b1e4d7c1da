"""The README's commands run as they stand there, in a folder that holds what a clone holds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"<!-- runs -->\n```sh\n(.*?)```", README, re.DOTALL)


def options_of(verb: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", f"auto_loop.{verb}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the shipped configs and the README's own files."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "train_configs", folder / "train_configs")
    (folder / "outputs" / "train").mkdir(parents=True)
    for name, text in FILES:
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_readme_shows_its_files_and_commands() -> None:
    assert [name for name, _ in FILES] == ["my_train.py", "my_pack.toml", "my_config.json"]
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split()[2])
def test_a_command_of_the_readme_runs(command: str, project: Path) -> None:
    run(command, project)


def run(command: str, project: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_trainer_of_the_readme_gets_three_rounds(project: Path) -> None:
    run(next(command for command in COMMANDS if "my_pack.toml" in command), project)
    report = (project / "reports" / "my_pack.md").read_text(encoding="utf-8")
    assert "lr@mul=1.5" in report
    assert "Round 3" in report


def test_every_option_that_the_readme_names_exists() -> None:
    known = set(re.findall(r"--[a-z][a-z-]+", options_of("autorun") + options_of("generate_and_run")))
    table = README[README.index("| you want") : README.index("Ctrl-C launches")]
    named = set(re.findall(r"--[a-z][a-z-]+", table))
    assert named <= known | {"--policy"}


def test_the_links_of_the_readme_lead_somewhere() -> None:
    missing = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not (ROOT / link).exists()]
    assert missing == []
