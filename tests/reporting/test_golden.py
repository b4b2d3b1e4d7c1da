"""The whole report of one night against checked-in files; `UPDATE_GOLDEN=1` writes them anew, to be read by eye."""

import json
import os
from pathlib import Path

from auto_loop.reporting.report import report
from auto_loop.reporting.to_json import to_json
from auto_loop.reporting.to_markdown import to_markdown
from tests.reporting.night import LENS, NOW, night
from tests.reporting.troubled import UNDRIVEN, events, troubled

GOLDEN = Path(__file__).parent.parent / "golden" / "report"


def same(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_the_markdown_of_a_night() -> None:
    same("night.md", to_markdown(report(night(), LENS, NOW)))


def test_the_markdown_of_a_night_in_which_much_goes_wrong() -> None:
    same("troubled.md", to_markdown(report(troubled(), LENS, NOW + 250.0, events=events(), undriven=UNDRIVEN)))


def test_the_json_of_a_night() -> None:
    same("autorun_summary.json", to_json([report(night(), LENS, NOW)]))


def test_the_json_has_the_keys_that_other_tools_rely_on() -> None:
    whole = json.loads(to_json([report(night(), LENS, NOW)]))
    assert whole["schema"] == 1
    rounds = whole["studies"]["act_ot"]["rounds"]
    assert [(each["loop"], each["round"]) for each in rounds] == [
        (1763600000, 1),
        (1763690000, 1),
        (1763690000, 2),
        (1763690000, 3),
    ]
    promised = ["cfg", "parent", "reason", "changes", "output_dir", "log", "wandb_url", "outcome"]
    promised += ["duration_s", "metrics"]
    for each in rounds:
        assert {"round", "loop", "jobs", "proposals", "refusals"} <= each.keys()
        for job in each["jobs"]:
            assert list(job)[: len(promised)] == promised


def test_no_secret_of_a_log_reaches_a_report() -> None:
    whole = report(night(), LENS, NOW)
    assert "0123456789abcdef" not in to_markdown(whole) + to_json([whole])
