"""The report's files."""

import json
from pathlib import Path

from auto_loop.reporting.files import write_markdown, write_summary
from auto_loop.reporting.report import report
from tests.reporting.night import LENS, NOW, night


def test_both_files_are_written_whole_into_folders_that_were_not_there(tmp_path: Path) -> None:
    whole = report(night(), LENS, NOW)
    write_markdown(whole, tmp_path / "reports" / "act_ot.md")
    write_summary([whole], tmp_path / "reports" / "data" / "autorun_summary.json")
    assert (tmp_path / "reports" / "act_ot.md").read_text(encoding="utf-8").startswith("# Study act_ot\n")
    assert (
        json.loads((tmp_path / "reports" / "data" / "autorun_summary.json").read_text(encoding="utf-8"))["schema"] == 1
    )
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["act_ot.md", "autorun_summary.json", "data", "reports"]
