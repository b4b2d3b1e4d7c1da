"""`auto-loop review`: what waits is shown, a word is handed on, and what cannot be meant is refused."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auto_loop.cli.main import main
from auto_loop.domain.history import ProposalRecord
from auto_loop.domain.job import JobId
from auto_loop.domain.proposal import Proposal, Verdict
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from tests.cli.project import SCRIPT, Project
from tests.ledger.make import LOOP, STUDY, new_job


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of a project whose loop waits for a person, and that nobody drives."""
    monkeypatch.chdir(tmp_path)
    made = Ledger.open(tmp_path / "outputs" / "ledger.sqlite3", lambda: 1000.0)
    made.ensure_study(STUDY, pack="act_ot", profile="act_ot")
    made.open_loop(STUDY, LOOP, {"review": True})
    return made


def wait(ledger: Ledger, parent: JobId, change: str = "lr@mul", value: float = 0.5) -> None:
    proposal = Proposal(changes={change: value}, reason="loss is 3", rule="halve", evidence={"last(l)": 3.0})
    edits = (f"{change}={value}",)
    ledger.record_proposal(
        ProposalRecord(
            loop=LOOP,
            round=1,
            parent=parent,
            proposal=proposal,
            verdict=Verdict.WAITING,
            edits=edits,
            predictions={"eval/loss": 1.5},
        )
    )


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["review", *words])


def test_what_waits_is_shown_with_all_that_a_person_needs(ledger: Ledger) -> None:
    wait(ledger, ledger.add_job(new_job("a")), "steps@set", 7)
    shown = call(STUDY)
    assert shown.exit_code == 0
    for text in (
        "1 proposal waits for a person",
        "a → round 2",
        "rule halve",
        "loss is 3",
        "→ 7",
        "1.5",
        "last(l) = 3",
    ):
        assert text in shown.output
    (found,) = json.loads(call(STUDY, "--json").output)["proposals"]
    assert found["number"] == 1
    assert found["edits"] == ["steps@set=7"]
    assert found["changes"][0]["path"] == "steps"


def test_a_word_is_kept_for_the_next_supervisor_when_there_is_none(ledger: Ledger) -> None:
    parent = ledger.add_job(new_job("a"))
    for _ in range(3):
        wait(ledger, parent)
    said = call(STUDY, "--refuse", "2", "--all", "--by", "ada")
    assert said.exit_code == 0, said.output
    assert "nobody drives the study" in said.output
    (request,) = ledger.requests.open(STUDY)
    assert request.kind == "review"
    assert request.payload == {"accept": [1, 3], "refuse": [2], "by": "ada"}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--accept", "9"], 3, "no proposal 9 waits"),
        (["--accept", "9", "--refuse", "8"], 3, "waiting: 1"),
        (["--accept", "x"], 2, "'x' is no number of a proposal"),
        (["--accept", "1", "--refuse", "1"], 2, "1 cannot be both accepted and refused"),
        (["--accept", "99999999999999999999"], 2, "is no number of a proposal"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_one_message(
    ledger: Ledger, words: list[str], code: int, text: str
) -> None:
    wait(ledger, ledger.add_job(new_job("a")))
    said = call(STUDY, *words)
    assert said.exit_code == code
    assert text in said.output
    assert not ledger.requests.open(STUDY)


def test_a_study_of_which_nothing_waits(ledger: Ledger) -> None:
    assert call(STUDY).output.strip() == f"No proposal of study {STUDY} waits."
    said = call(STUDY, "--all")
    assert said.exit_code == 3
    assert call("nobody").exit_code == 3


TRAINER = """
import json, os, sys
words = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
os.makedirs(words["output_dir"])
rate = json.load(open(words["config_path"]))["lr"]
with open(os.path.join(words["output_dir"], "metrics.jsonl"), "w") as history:
    for step in (10, 20, 30):
        history.write(json.dumps({"step": step, "eval/loss": rate + 1 / step}) + "\\n")
"""
PACK = """
[objective]
metric = "eval/loss"
direction = "lower"

[[rule]]
name = "halve"
when = 'last("eval/loss") > 0'
change = { "lr@mul" = 0.5 }
reason = "loss ended at {last('eval/loss')}"
"""


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30.0
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.05)


def waits(project: Project) -> bool:
    said = project.shell("python -m auto_loop review pack --json")
    return said.returncode == 0 and bool(json.loads(said.stdout)["proposals"])


@pytest.mark.parametrize("steady", [[], ["--steady"]])
def test_a_supervisor_that_lives_does_as_it_is_told_and_answers(project: Project, steady: list[str]) -> None:
    (project.root / "train.py").write_text(TRAINER)
    (project.root / "pack.toml").write_text(PACK)
    (project.root / "a.json").write_text('{"lr": 0.8}')
    options = ["--pack", "pack.toml", *SCRIPT, "--device", "cpu", "--decide", "--review", "--rounds", "2", *steady]
    supervisor = project.start("autorun", "--cfgs", "a.json", *options, "--exec")
    try:
        until(lambda: waits(project))
        why = project.shell("python -m auto_loop why")
        assert "1 proposal waits for a person (`auto-loop review pack`)" in why.stdout
        said = project.shell("python -m auto_loop review pack --all --by ada")
        assert said.stdout.startswith("Proposal 1 is queued as a_")
        output, _ = supervisor.communicate(timeout=60)
    finally:
        supervisor.kill()
        supervisor.wait()
    assert supervisor.returncode == 0
    assert "(accepted by ada)" in output
    with closing(Reading.open(project.root / "outputs" / "ledger.sqlite3")) as reading:
        assert [job.round for job in reading.history("pack").jobs] == [1, 2]
