"""What a report claims of studies that really ran: cells, effects, predictions, causes and rules' records."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auto_loop.domain.track_record import TrackRecord
from auto_loop.ledger.reading import Reading
from auto_loop.reporting.lens import Lens
from auto_loop.reporting.report import report
from auto_loop.reporting.rule_records import track_records
from auto_loop.reporting.to_json import to_json
from tests.reporting.repeated import drawn, section, study

CLAIMS = re.compile(r"\b(better|best|improv\w*|winner|worse)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def revived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, Path]]:
    """Three seeds each, and an effect far beyond the noise."""
    root = tmp_path_factory.mktemp("revived")
    with study(root, repeats=3) as world:
        yield *drawn(world), root


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """One seed each, the same effect."""
    with study(tmp_path_factory.mktemp("single"), repeats=1) as world:
        yield drawn(world)


def test_a_config_under_several_seeds_is_one_row_and_one_block(revived: tuple[str, Any, Path]) -> None:
    text = revived[0]
    round_two = section(text, "### Round 2")
    rows = [line for line in round_two if line.startswith("| jobs ")]
    assert len(rows) == 2
    assert re.search(
        r"\| jobs \d+–\d+ `baseline_\w+`, seeds 1–3 \| 3 succeeded, 1 m 30 s each \| 0\.\d+ ± 0\.0\d+ ", rows[0]
    )
    assert len([line for line in round_two if line.startswith("#### Job ")]) == 2
    assert text.count("2 repeats of job ") == 3


def test_better_is_said_of_what_fresh_seeds_confirmed_and_of_nothing_else(revived: tuple[str, Any, Path]) -> None:
    text, found, _ = revived
    claims = [line for line in text.splitlines() if re.search(r"\bbetter\b", line, re.IGNORECASE)]
    assert claims
    assert all("seeds 4–6" in line or "| 4–6 |" in line for line in claims), claims
    assert claims[0].startswith("- **Better, confirmed on fresh seeds**: job ")
    assert "the winner is the base from the next round on" in text
    assert ": fresh seeds confirm it, as said above." in text
    (confirmation,) = found["confirmations"]
    assert confirmation["effect"]["finding"] == "better"
    assert confirmation["screened"]["finding"] == "promising"
    assert [cell["effect"]["finding"] for cell in found["rounds"][1]["cells"] if cell["effect"]].count("promising") >= 1


def test_with_one_seed_no_word_of_a_report_claims_anything(single: tuple[str, Any]) -> None:
    text, found = single
    assert CLAIMS.findall(text) == []
    assert "**Effect on `eval/l1`**: not known. Each config ran under one seed" in text
    assert re.search(r"`eval/l1` against job 1 `baseline`: job 2 0\.\d+ lower.*One seed each, noise not known\.", text)
    assert all(cell["effect"] is None for one in found["rounds"] for cell in one["cells"])
    assert found["confirmations"] == []


def test_a_cause_is_told_in_words_at_the_top_and_in_its_round(single: tuple[str, Any]) -> None:
    text, found = single
    told = "**cost far above s** (job 1): the cost is 400 times s: only cloning trains"
    assert f"- {told}" in section(text, "### Round 1")
    assert f"- **Diagnosis** after round 1: {told}" in text
    assert "- **Diagnosis** after round 2: **cost far above s** (job 3): the cost is 383" in text
    assert found["rounds"][0]["diagnoses"][0]["name"] == "cost far above s"


def test_what_was_predicted_is_held_against_what_was_measured(revived: tuple[str, Any, Path]) -> None:
    text, found, _ = revived
    row = next(line for line in section(text, "### Round 2") if "`train/ot_log_pi_sum` | -2.3" in line)
    assert re.search(
        r"\| -2\.3\d* \(`train/ot_pi_sum` 0\.\d+\) \| -2\.3\d* \(`train/ot_pi_sum` 0\.\d+\), median of \d runs", row
    )
    assert row.endswith("nats | hit |")
    assert "**Predicted against measured**: 2 of 2 within a factor of e:" in text
    child = next(job for job in found["rounds"][1]["jobs"] if job["predictions"])
    assert child["predictions"][0]["hit"] is True
    assert child["seed"] == 1


def test_a_prediction_that_is_off_by_more_than_a_factor_of_e_is_a_miss(tmp_path: Path) -> None:
    with study(tmp_path, repeats=1, surprise=-1.5) as world:
        text, _ = drawn(world)
    row = next(line for line in section(text, "### Round 2") if "`train/ot_log_pi_sum` | -2.3" in line)
    assert row.endswith("| -1.5 nats | miss |")
    assert "**Predicted against measured**: 1 of 2 within a factor of e:" in text


def test_rules_are_shown_with_what_became_of_them(revived: tuple[str, Any, Path]) -> None:
    text, found, root = revived
    reading = Reading.open(root / "outputs/ledger.sqlite3")
    counts = {one.rule: one for one in reading.decisions.track_records("pack")}
    shown = track_records(reading.history("pack").proposals)
    reading.close()
    assert {one.rule for one in shown} == counts.keys()
    for one in shown:
        known = counts[one.rule]
        assert one == TrackRecord(
            rule=one.rule,
            fired=known.fired,
            accepted=known.accepted,
            measured=known.measured,
            improved=known.improved,
        )
    assert re.search(r"\| `scale, computed` \| \d \| \d \| 1 \| 1 of 1 \(100 %, 90 % interval \d+ to 100 %\) \|", text)
    assert '- `never seen` lacked `last("train/nowhere")`' in text
    assert {"rule": "never seen", "lacked": ['last("train/nowhere")'], "runs": 3, "live": False} in found[
        "rules_never_judged"
    ]


def test_the_noise_floor_says_from_how_much_it_is_known(revived: tuple[str, Any, Path]) -> None:
    text, found, _ = revived
    assert re.search(
        r"- \*\*Noise floor\*\* of `eval/l1`: ±0\.0\d+; .*\(from 3 configs, \d+ degrees of freedom\)", text
    )
    assert found["loops"][0]["noise_floor"]["cells"] == 3


def test_a_summary_of_thousands_of_jobs_is_the_same_json_without_its_layout(
    revived: tuple[str, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Reading.open(revived[2] / "outputs/ledger.sqlite3")
    whole = report(reading.history("pack"), Lens(), 1.0)
    reading.close()
    laid_out = to_json([whole])
    monkeypatch.setattr("auto_loop.reporting.to_json.READ_BY_EYE", 3)
    bare = to_json([whole])
    assert laid_out.count("\n") > 100 * bare.count("\n")
    assert json.loads(laid_out) == json.loads(bare)


def test_without_an_effect_the_report_says_that_none_was_detected(tmp_path: Path) -> None:
    with study(tmp_path, repeats=3, gain=0.0) as world:
        text, _ = drawn(world)
    assert not re.search(r"\*\*Better|: better\b", text)
    assert "no detectable effect" in text
