"""`auto-loop pack check`, `test` and `backtest`, as processes of their own; and what docs/pack-tests.md shows."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auto_loop.cli.main import main
from auto_loop.rules import pack as packs
from tests.assembly.old_runs import PACK, mirrored
from tests.cli.project import ROOT, Project

DOC = (ROOT / "docs" / "pack-tests.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", DOC, re.DOTALL))
COMMANDS = re.findall(r"<!-- runs -->\n```sh\n(.*?)```", DOC, re.DOTALL)
PRINTED = re.findall(r"```text\n(.*?)```", DOC, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["pack", *words])


def test_the_commands_of_the_page_run_and_print_what_it_shows(project: Project) -> None:
    for name, text in FILES.items():
        (project.root / name).write_text(text, encoding="utf-8")
    mirrored(project.root / "outputs" / "train" / "a", [1.0 + 0.3 * at for at in range(40)], config={"lr": 0.001})
    said = []
    for command in COMMANDS:
        done = project.shell("set -e\n" + re.sub("^auto-loop ", "python -m auto_loop ", command, flags=re.MULTILINE))
        assert (done.returncode, done.stderr) == (0, "")
        said.append(done.stdout)
    assert len(COMMANDS) == 3
    assert PRINTED[0] in said[0]
    assert "diverged, at" in said[2]


def test_the_failure_that_the_page_shows_is_what_is_printed(folder: Path) -> None:
    text = FILES["my_pack.cases.toml"].replace('"diverged", at = 300', '"diverged", at = 200')
    (folder / "my_pack.cases.toml").write_text(text, encoding="utf-8")
    done = call("test", "my_pack.toml")
    assert done.exit_code == 1
    assert PRINTED[1] in done.output
    assert done.output.endswith("3 passed, 1 failed\n")


@pytest.mark.parametrize("name", packs.shipped_names())
def test_a_shipped_pack_passes_its_cases(name: str) -> None:
    done = call("test", name)
    assert done.exit_code == 0, done.output
    assert " 0 failed" in done.output


def test_the_cases_of_act_ot_are_many() -> None:
    assert packs.shipped_cases("act_ot").count("[[case]]") >= 12


def test_a_file_of_cases_may_name_a_shipped_pack_and_a_config_of_the_project(folder: Path) -> None:
    (folder / "train_configs").mkdir()
    (folder / "train_configs" / "base.json").write_text('{"lr": 0.5}')
    (folder / "cases").mkdir()
    head = 'pack = "default"\nconfig = "train_configs/base.json"\n'
    case = '[[case]]\nname = "up"\nseries.loss = "1x1 nanx2"\nfires = ["loss not finite: slower (lr)"]\n'
    (folder / "cases" / "mine.toml").write_text(head + case)
    assert call("test", "cases/mine.toml").exit_code == 0


def test_cases_as_json(folder: Path) -> None:
    done = json.loads(call("test", "my_pack.cases.toml", "--json").stdout)
    assert (done["passed"], done["failed"]) == (4, 0)
    assert done["files"][0]["cases"][3]["stopped"] == {"rule": "diverged", "at": 300}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "none.toml"], "there is no such pack or file of cases"),
        (["test", "none"], "there is no such pack or file of cases"),
        (["test", "alone.toml"], "there are no cases for this pack (write alone.cases.toml"),
        (["test", "broken.cases.toml"], "broken.cases.toml, line 2, case 1: `name` is missing"),
        (["test", "not.cases.toml"], "not.cases.toml, line 1: not TOML"),
        (["test", "."], "it is a folder"),
        (["check", "my_pack.cases.toml"], "it holds rule cases, and is no pack"),
        (["check", "wrong.toml"], "pack wrong.toml, line 3, rule 1 when"),
        (["check", "bytes.toml"], "is not UTF-8 text"),
        (["backtest", "my_pack.toml", "--runs", "none"], "no such folder"),
        (["backtest", "none.toml", "--runs", "."], "there is no such pack"),
        (["backtest", "my_pack.toml"], "Missing option '--runs'"),
        (["backtest", "my_pack.toml", "--runs", ".", "--limit", "0"], "--limit"),
    ],
)
def test_misuse_is_said_and_leaves_with_2(folder: Path, words: list[str], said: str) -> None:
    (folder / "alone.toml").write_text('name = "alone"\n')
    (folder / "broken.cases.toml").write_text('pack = "default"\n[[case]]\nfires = []\n')
    (folder / "not.cases.toml").write_text("[[case\n")
    (folder / "wrong.toml").write_text('[[rule]]\nname = "x"\nwhen = "1 <"\nchange = { a = 1 }\nreason = "r"\n')
    (folder / "bytes.toml").write_bytes(b"name = '\xff'")
    done = call(*words)
    assert done.exit_code == 2
    assert said in done.output


def test_every_fault_of_a_pack_is_shown_with_its_pointer(folder: Path) -> None:
    text = '[[rule]]\nname = "x"\nwhen = "lr < "\nchange = { "lr@mal" = 1 }\nreason = "{"\n[[stop]]\nname = "y"\n'
    (folder / "wrong.toml").write_text(text)
    done = call("check", "wrong.toml")
    assert done.exit_code == 2
    assert all(f"line {line}, " in done.output for line in (3, 4, 5, 6))
    assert "lr@mal" in done.output
    assert "~~~^" in done.output


def test_a_check_says_what_is_in_the_pack(folder: Path) -> None:
    said = call("check", "my_pack.toml").output
    assert "pack my_pack: no fault found" in said
    assert "objective: eval/loss, better lower" in said
    assert json.loads(call("check", "my_pack.toml", "--json").stdout)["live_rules"] > 1


def test_a_backtest_as_a_table_and_as_json(folder: Path) -> None:
    fork = 'then = "stop+fork"\nchange = { "lr@mul" = 0.5 }\n'
    (folder / "mine.toml").write_text(PACK.replace("for = 2\n", f"for = 2\n{fork}"))
    mirrored(folder / "old" / "a", [1.0] * 10, evaluated=0.5, config={"lr": 0.1})
    mirrored(folder / "old" / "b", [0.1] * 10, evaluated=0.4, config={"lr": 0.05})
    broken = folder / "more" / "c"
    broken.mkdir(parents=True)
    (broken / "metrics.jsonl").write_text("nothing\n")
    done = call("backtest", "mine.toml", "--runs", "old", "more", "--limit", "9")
    assert done.exit_code == 0
    assert "loss high, at 30 of 100" in done.output
    assert "1m10s" in done.output
    assert "After 1 of the stops a changed successor" in " ".join(done.output.split())
    assert "slower: a 0.5 → 0.4: better" in done.output
    assert "b is exactly that" in done.output
    assert "more/c: left out: no readable metrics" in done.output
    found = json.loads(call("backtest", "mine.toml", "--runs", "old", "--json").stdout)
    assert found["saved"]["gpu_hours"] == pytest.approx(70 / 3600)
    assert found["nearest"][0]["likes"] == ["old/b"]


def test_a_backtest_of_no_runs_is_no_fault(folder: Path) -> None:
    (folder / "old").mkdir()
    done = call("backtest", "my_pack.toml", "--runs", "old")
    assert (done.exit_code, done.output) == (0, "No runs with readable metrics below old.\n")


def test_nothing_heavy_is_imported(project: Project) -> None:
    mirrored(project.root / "old" / "a", [1.0] * 10)
    names = "torch wandb pandas scipy matplotlib plotly optuna accelerate draccus"
    code = (
        "import sys; from auto_loop.cli.main import main\n"
        "try: main(['pack', 'backtest', 'act_ot', '--runs', 'old'])\n"
        f"finally: assert not set({names!r}.split()) & set(sys.modules)"
    )
    done = project.shell(f'python -c "{code}"')
    assert (done.returncode, done.stderr) == (0, "")
