"""Every verb by every door: as a module, by its path from anywhere, and as a verb of the one command."""

import subprocess
import sys
from pathlib import Path

import pytest

from auto_loop.cli.main import VERBS
from tests.cli.project import ROOT, Project

MODULES = sorted(path.stem for path in (ROOT / "auto_loop").glob("*.py"))
DOORS = [name for name in MODULES if name.replace("_", "-") in VERBS]
HEAVY = {"numpy", "sqlite3", "torch", "wandb", "pandas"}


def usage(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", ["autorun", "generate_and_run", "analyze_offline"])
def test_the_seeds_doors_are_there_as_modules(project: Project, name: str) -> None:
    assert f"Usage: python -m auto_loop.{name} [OPTIONS]" in usage(project.call(name, "--help"))


@pytest.mark.parametrize("name", DOORS)
def test_a_door_opens_by_its_path_from_another_folder_with_nothing_installed(tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "auto_loop" / f"{name}.py"), "--help"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--help" in usage(done)
    assert list(tmp_path.iterdir()) == []


def test_a_path_below_the_working_folder_is_what_the_seed_calls(project: Project) -> None:
    done = project.shell("PYTHONPATH= python auto_loop/autorun.py --help")
    assert "--cfgs FILE..." in usage(done)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_of_the_command_tells_its_options(project: Project, verb: str) -> None:
    said = usage(project.shell(f"python -m auto_loop {verb} --help"))
    assert said.startswith(f"Usage: auto-loop {verb} [OPTIONS]")


def test_a_verb_may_be_written_with_underscores(project: Project) -> None:
    said = usage(project.shell("python auto_loop/__main__.py generate_and_run --help"))
    assert "--base-cfg FILE" in said


def test_the_command_lists_its_verbs_with_a_line_each(project: Project) -> None:
    said = usage(project.shell("python -m auto_loop --help"))
    assert all(f"  {verb} " in said for verb in VERBS)


def test_the_command_tells_its_version_installed_or_not(project: Project) -> None:
    assert usage(project.shell("python -m auto_loop --version")).startswith("auto-loop")


IMPORTED = """
import sys
sys.argv = ["auto-loop", *{words!r}]
try:
    from auto_loop.cli.main import main
    main()
except SystemExit:
    pass
print("IMPORTED", *sorted({heavy!r} & set(sys.modules)))
"""


@pytest.mark.parametrize("words", [["--help"], *([verb, "--help"] for verb in sorted(VERBS))], ids=" ".join)
def test_help_imports_nothing_heavy(project: Project, words: list[str]) -> None:
    program = IMPORTED.format(words=words, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.root, env=project.env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "IMPORTED"


LOOP = (
    "python -m auto_loop.autorun --cfgs ok.json --profile script --train-script train.py --device cpu --steps 4"
    " --log-freq 1 --eval-freq 1 --exec"
)


@pytest.mark.parametrize("around", ["{} >&-", "{} >&- 2>&- <&-", "{} >/dev/full", "PYTHONIOENCODING=ascii {}"])
def test_a_loop_needs_nobody_to_read_it(project: Project, around: str) -> None:
    project.write("ok.json", {"lr": 0.1})
    project.write("train.py", "print('trained')")
    done = project.shell(around.format(LOOP))
    assert (done.returncode, done.stderr) == (0, "")
    assert "succeeded" in (project.root / "reports/default.md").read_text()


def test_what_cannot_be_printed_is_one_clear_line(project: Project) -> None:
    (project.root / "outputs/train").mkdir(parents=True)
    done = project.shell("python -m auto_loop.analyze_offline >/dev/full")
    assert (done.returncode, done.stderr) == (3, "error: No space left on device\n")
