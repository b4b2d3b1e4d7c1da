"""What the report says, part by part."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auto_loop.domain.history import History, SilenceRecord
from auto_loop.domain.job import JobId, Outcome
from auto_loop.domain.proposal import Silence
from auto_loop.domain.stats import Direction
from auto_loop.reporting.lens import Band, Health, Lens
from auto_loop.reporting.report import near, report
from auto_loop.reporting.to_json import to_json
from auto_loop.reporting.to_markdown import to_markdown
from tests.reporting.night import L1, LENS, MASS, NIGHT, NOW, ROOT, night

PARSER = MarkdownIt("commonmark").enable("table")


def markdown(history: History, lens: Lens = LENS) -> str:
    return to_markdown(report(history, lens, NOW))


def tonight(history: History, **loop: object) -> History:
    """`history` with its newest loop changed."""
    *earlier, newest = history.loops
    return replace(history, loops=(*earlier, replace(newest, **loop)))  # type: ignore[arg-type] # fields of Loop


def test_the_best_job_is_the_lowest_of_those_that_ended_well() -> None:
    best = report(night(), LENS, NOW).loops[0].best
    assert best is not None
    assert (best.id, best.best) == (6, 0.3062)
    history = night()
    failed = tuple(replace(job, outcome=Outcome.FAILED) if job.id == 6 else job for job in history.jobs)
    best = report(replace(history, jobs=failed), LENS, NOW).loops[0].best
    assert best is not None
    assert best.id == 7


def test_a_metric_that_is_better_high_ranks_the_other_way() -> None:
    best = report(night(), replace(LENS, direction=lambda _: Direction.HIGHER), NOW).loops[0].best
    assert best is not None
    assert best.id == 5


def test_an_alias_is_shown_under_its_one_name_with_its_health() -> None:
    job = report(night(), LENS, NOW).job(JobId(6))
    assert job is not None
    assert [(metric.name, metric.health) for metric in job.key[:2]] == [(L1, None), (MASS, Health.INSIDE)]
    assert "ot_pi_sum" in job.metrics


@pytest.mark.parametrize(
    ("value", "health"),
    [(0.0, "dead"), (1e-6, "below its band"), (1e-3, "in its band"), (0.9, "in its band"), (1.0, "above its band")],
)
def test_health_has_its_ends_where_the_band_has(value: float, health: str) -> None:
    assert Band(dead_below=1e-6, low=1e-3, high=0.9).health(value) == health


def test_a_running_job_lasts_until_now_and_a_queued_one_has_not_begun() -> None:
    whole = report(night(), LENS, NOW)
    running, queued = whole.job(JobId(8)), whole.job(JobId(9))
    assert running is not None
    assert queued is not None
    assert running.duration_s == NOW - (NIGHT + 330.0)
    assert (queued.duration_s, queued.log) == (None, "")


def test_a_later_attempt_shows_its_own_folder_and_log() -> None:
    job = report(night(), LENS, NOW).job(JobId(7))
    assert job is not None
    assert job.output_dir.endswith(".a2")
    assert job.log.endswith(".a2.log")


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/home/user/project/a/b.json", "a/b.json"),
        ("/home/user/project2/a", "/home/user/project2/a"),
        ("a/b", "a/b"),
        ("", ""),
    ],
)
def test_paths_below_the_project_are_relative(file: str, shown: str) -> None:
    assert near(file, "/home/user/project") == shown


def test_a_difference_below_the_one_that_matters_is_called_so() -> None:
    text = markdown(night())
    assert "0.0194 lower than job 2 (0.3256) on one seed; no noise floor known (repeats 1)." in text
    assert "less than the smallest difference that matters (0.005)" in text
    assert "improve" not in text


def test_an_ended_loop_says_why_it_stopped() -> None:
    assert "**Why it stopped**: all 3 rounds are done." in markdown(
        tonight(night(), ended_at=NOW, end_reason="all 3 rounds are done")
    )


def test_when_no_rule_fires_the_report_says_so() -> None:
    silences = tuple(
        SilenceRecord(loop=NIGHT, round=1, silence=Silence(parent=JobId(n), cause="no rule fired", detail="nearest: x"))
        for n in (2, 3)
    )
    text = markdown(replace(night(), proposals=(), silences=silences))
    assert "- **Decided**: nothing was proposed; no rule fired (job 2, job 3)." in text
    assert "No rule fired for any job of this round." in text
    assert "- job 2 `act_ot_baseline`: no rule fired (nearest: x)" in text


def test_a_round_without_decisions_says_what_that_means() -> None:
    bare = replace(night(), proposals=(), silences=())
    assert "Not yet: 2 jobs of this round still to end." in markdown(bare)
    assert "started without `--decide`" in markdown(bare)
    assert "ended with this round (interrupted)" in markdown(tonight(bare, ended_at=NOW, end_reason="interrupted"))


def test_files_of_the_project_are_named_from_its_folder_in_texts_too() -> None:
    folder = f"{ROOT}/outputs/train/loop_{NIGHT}/act_ot_big_batch"
    silence = SilenceRecord(
        loop=NIGHT,
        round=1,
        silence=Silence(parent=JobId(4), cause="no readable history", detail=f"looked for {folder}/metrics.jsonl"),
    )
    history = replace(night(), silences=(silence,))
    jobs = tuple(
        replace(job, attempts=tuple(replace(each, cause=f"no {ROOT}/data/demos") for each in job.attempts))
        for job in history.jobs
    )
    text = markdown(replace(history, jobs=jobs))
    assert "no readable history (looked for metrics.jsonl)" in text
    assert "Cause: no data/demos" in text
    assert ROOT not in text


def test_a_best_of_the_first_round_is_held_against_later_rounds_only_once_they_have_values() -> None:
    history = night()
    assert "No later round has a value to compare; one seed each" in markdown(
        replace(history, summaries={k: v for k, v in history.summaries.items() if k <= 5})
    )
    worse = {JobId(6): history.summaries[JobId(5)], JobId(7): history.summaries[JobId(5)]}
    assert "No later round went lower; one seed each" in markdown(
        replace(history, summaries={**history.summaries, **worse})
    )


def test_a_study_without_loops_and_a_loop_without_jobs_can_be_shown() -> None:
    empty = replace(night(), loops=(), jobs=(), summaries={}, proposals=(), silences=())
    assert "Nothing has run in this study yet." in markdown(empty)
    assert '"rounds": []' in to_json([report(empty, LENS, NOW)])
    text = markdown(replace(night(), jobs=(), summaries={}, proposals=(), silences=()))
    assert "0 jobs: none yet" in text


def test_without_a_pack_s_view_the_logged_metrics_are_named() -> None:
    text = markdown(night(), Lens())
    assert "not judged, since no main metric was named" in text
    assert "None of the key metrics was logged. Logged were: `eval/offline_eval/avg_l1`, `ot_pi_sum`" in text


def test_a_job_that_ended_well_without_metrics_needs_attention() -> None:
    history = night()
    text = markdown(replace(history, summaries={k: v for k, v in history.summaries.items() if k != 3}))
    assert "job 3 `act_ot_cost_scale` ended without metrics that could be read" in text


def test_a_metric_dead_throughout_the_last_round_needs_attention() -> None:
    text = markdown(night(), replace(LENS, bands={MASS: Band(dead_below=2.0)}))
    assert "`train/ot_pi_sum` is dead in every job of round 2 that logged it" in text


def test_a_cause_that_is_a_sentence_keeps_one_full_stop() -> None:
    text = markdown(_filled("why", "a@set=1", "log", cause="No such file."))
    assert "No such file. Its log ends" in text


NASTY = st.text(st.sampled_from('|`*_[]<>~\\#-+=1. \n\r&\x1b\u2028\ud800aB"/:'), min_size=1).map(
    lambda text: f"x{text}"
)


@settings(max_examples=60, deadline=None)
@given(NASTY, NASTY, NASTY)
def test_no_text_from_outside_changes_the_shape_of_a_report(reason: str, edit: str, log: str) -> None:
    def blocks(*texts: str) -> list[str]:
        return [token.type for token in PARSER.parse(markdown(_filled(*texts)))]

    assert blocks(reason, edit, log) == blocks("plain", "a@set=1", "one line")
    to_json([report(_filled(reason, edit, log), LENS, NOW)]).encode("utf-8")


def _filled(reason: str, edit: str, log: str, cause: str = "") -> History:
    """The night with `reason`, `edit` and `log` wherever such text stands; `cause` is `reason` unless given."""
    history = night()
    jobs = []
    for job in history.jobs:
        origin = replace(job.origin, reason=reason, rule=reason, changes=(edit,), notes=(reason,))
        attempts = tuple(replace(each, cause=cause or reason, log_tail=log) for each in job.attempts)
        jobs.append(replace(job, origin=origin, attempts=attempts))
    proposals = tuple(
        replace(
            each, edits=(edit,), reasons=(reason,), proposal=replace(each.proposal, reason=reason, evidence={log: edit})
        )
        for each in history.proposals
    )
    silences = tuple(replace(each, silence=replace(each.silence, detail=log)) for each in history.silences)
    return replace(
        tonight(history, end_reason=reason, ended_at=NOW), jobs=tuple(jobs), proposals=proposals, silences=silences
    )
