"""What the report says, part by part."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auto_loop.domain.history import History, SilenceRecord
from auto_loop.domain.job import Job, JobId, JobState, Origin, Outcome
from auto_loop.domain.proposal import Silence, Verdict
from auto_loop.domain.series import Source
from auto_loop.domain.stats import Direction
from auto_loop.reporting.jobs import evidence
from auto_loop.reporting.lens import Band, Health, Lens
from auto_loop.reporting.lineage import lineage, numbers
from auto_loop.reporting.outside import near
from auto_loop.reporting.report import report
from auto_loop.reporting.to_json import to_json
from auto_loop.reporting.to_markdown import to_markdown
from tests.reporting.night import L1, LENS, MASS, NIGHT, NOW, ROOT, night, stats

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
    assert (best.lead.id, best.mean) == (6, 0.3062)
    history = night()
    failed = tuple(replace(job, outcome=Outcome.FAILED) if job.id == 6 else job for job in history.jobs)
    best = report(replace(history, jobs=failed), LENS, NOW).loops[0].best
    assert best is not None
    assert best.lead.id == 7


def test_a_metric_that_is_better_high_ranks_the_other_way() -> None:
    best = report(night(), replace(LENS, direction=lambda _: Direction.HIGHER), NOW).loops[0].best
    assert best is not None
    assert best.lead.id == 5


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
    assert "lowest 0.3062 against 0.3256 of job 2: 0.0194 lower; one seed each, noise not known." in text
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
    folder = f"{ROOT}/outputs/train/loop_{NIGHT}/act_ot_few_features"
    silence = SilenceRecord(
        loop=NIGHT,
        round=1,
        silence=Silence(parent=JobId(5), cause="no readable history", detail=f"looked for {folder}/metrics.jsonl"),
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
    assert "not judged, since none was named" in text
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


def test_a_dead_metric_s_way_over_the_rounds_is_told_in_words() -> None:
    text = markdown(night())
    told = next(line for line in text.splitlines() if line.startswith(f"- **`{MASS}`**"))
    assert "dead at the end (below 1e-6) in 1 of 3 jobs of round 1, then in neither job of round 2" in told
    assert "in its band (from 0.001) in 1 of 3 jobs of round 1, then in both jobs of round 2 (1 below its band)" in told
    assert "Highest by round 0.83 → 0.79. Brought to life: job 6 (2.6e-85 → 0.31, from job 2)." in told
    assert "| 0.83 (1 of 3 dead) |" in text


def test_the_best_job_tells_its_whole_lineage_and_a_grandchild_its_descent() -> None:
    history = night()
    best = replace(history.summaries[JobId(6)], metrics={L1: stats(0.4, 0.2, 0.2), "ot_pi_sum": stats(0.3, 0.4)})
    jobs = tuple(
        replace(job, state=JobState.DONE, outcome=Outcome.SUCCEEDED) if job.id == 8 else job for job in history.jobs
    )
    text = markdown(replace(history, jobs=jobs, summaries={**history.summaries, JobId(8): best}))
    assert (
        "- how it came about: job 2 (`act_ot_baseline`): 0.3256 → job 6 (`features.3.weight_label@mul=0.00001`,"
        " `ot.loss_config.reg@set=0.5`): 0.3062 → job 8 (`ot.loss_config.tau_src@set=3`): 0.2"
    ) in text
    assert "- Lineage: job 2 → job 6 → job 8" in text


def test_a_long_or_broken_lineage_ends() -> None:
    history = night()
    chain = [_child(history, number, number - 1 if number > 10 else 99) for number in range(10, 30)]
    whole = report(replace(history, jobs=(*history.jobs, *chain)), LENS, NOW)
    young = whole.job(JobId(29))
    assert young is not None
    assert [each.id for each in lineage(young, whole)] == list(range(10, 30))
    assert numbers(young, whole) == "job 10 → 14 more → job 25 → job 26 → job 27 → job 28 → job 29"
    ring = report(replace(history, jobs=(_child(history, 10, 11), _child(history, 11, 10))), LENS, NOW)
    one = ring.job(JobId(10))
    assert one is not None
    assert [each.id for each in lineage(one, ring)] == [11, 10]


def test_evidence_says_what_was_aimed_at_and_what_came_of_it() -> None:
    job = report(night(), LENS, NOW).job(JobId(6))
    assert evidence({"s": 2.3, "predicts": [MASS]}, job) == f"`s` = 2.3, aims at `{MASS}` → measured 0.31"
    assert evidence({"predicts": {MASS: 0.1}}, job) == f"`{MASS}` predicted 0.1 → measured 0.31"
    assert evidence({"predicts": [MASS]}, None) == f"aims at `{MASS}`"
    assert evidence({"predicts": ["x"]}, job) == "aims at `x`"


def test_a_reading_that_the_reason_names_is_not_repeated_beside_it() -> None:
    history = night()
    dead = history.proposals[0].proposal
    told = replace(dead, reason="ended at 1.503e-12 with 14", evidence={"a": 1.50269e-12, "b": 1, "c": 1.4, "d": True})
    text = markdown(replace(history, proposals=(replace(history.proposals[0], proposal=told),)))
    row = next(line for line in text.splitlines() if line.startswith("| job 6 "))
    assert "ended at 1.503e-12 with 14 (`b` = 1, `c` = 1.4, `d` = true)" in row
    assert "- Evidence: `a` = 1.5e-12, `b` = 1, `c` = 1.4, `d` = true" in text


def test_many_proposals_without_a_place_are_folded_to_a_line_for_each_parent() -> None:
    history = night()
    late = next(each for each in history.proposals if each.verdict is Verdict.NO_PLACE)
    many = tuple(replace(late, proposal=replace(late.proposal, rule=f"rule {k}", reason="x " * 99)) for k in range(40))
    text = markdown(replace(history, proposals=many))
    assert "Fit to run, but without a place in the next round (the round is full (2 jobs)):" in text
    assert "- job 5 `act_ot_few_features`: 40 (`rule 0`, `rule 1`," in text
    assert "`rule 9` and 30 more)" in text
    before = text.index("Fit to run, but without a place")
    folded = text[text.index("<details>", before) : text.index("</details>", before)].splitlines()
    assert folded[1] == "<summary>All 40 with their edits and reasons</summary>"
    assert folded[2] == ""
    assert folded[-1] == ""
    assert len([line for line in folded if line.startswith("| job 5 ")]) == 40
    assert max(map(len, folded)) < 200


def test_metrics_of_a_round_of_many_jobs_are_folded_unless_the_job_failed() -> None:
    history = night()
    more = tuple(replace(history.jobs[1], id=JobId(n), name=f"more_{n}") for n in range(20, 25))
    summaries = {**history.summaries, **{job.id: history.summaries[JobId(2)] for job in more}}
    text = markdown(replace(history, jobs=(*history.jobs, *more), summaries=summaries))
    assert text.count("<summary>Metrics of job ") == 8
    assert "<summary>Metrics of job 4</summary>" not in text
    assert "<details>" not in markdown(history)


def test_a_study_of_thousands_tells_each_round_s_best_and_what_failed_in_full() -> None:
    history = night()
    many = tuple(replace(history.jobs[1], id=JobId(n), name=f"more_{n}") for n in range(1000, 3000))
    late = next(each for each in history.proposals if each.verdict is Verdict.NO_PLACE)
    text = markdown(replace(history, jobs=(*history.jobs, *many), proposals=(late,) * 500))
    in_full = [line for line in text.splitlines() if line.startswith("#### Job ")]
    assert [line.split()[2] for line in in_full] == ["3:", "4:", "6:", "1:"]
    assert "2002 further configs of this round in the JSON beside this report." in text
    assert "<summary>The first 100 of 500 with their edits and reasons</summary>" in text


def test_where_metrics_were_read_is_said_once_or_by_jobs() -> None:
    history = night()
    assert "\nMetrics read from `wandb-history.jsonl`, the runner's mirror.\n" in markdown(history)
    only_last = replace(
        stats(1.0, 0.31), first=None, best=None, best_step=None, delta=None, pct=None, n=1, source=Source.FINAL_ONLY
    )
    mixed = {**history.summaries, JobId(7): replace(history.summaries[JobId(7)], metrics={L1: only_last})}
    text = markdown(replace(history, summaries=mixed))
    assert (
        "Metrics read from `wandb-history.jsonl`, the runner's mirror: job 6;"
        " a summary of final values only (*final-only*: they show no change): job 7."
    ) in text
    assert "| 0.31 (final-only) |" in text
    assert "| 1 (final-only) |" in text


def test_the_opening_stays_short_whatever_happened() -> None:
    history = night()
    bad = [
        replace(history.jobs[3], id=JobId(n), name=f"bad_{n}", outcome=Outcome.FAILED, origin=history.jobs[-1].origin)
        for n in range(100, 300)
    ]
    text = markdown(replace(history, jobs=(*history.jobs, *bad)))
    opening = text[: text.index("## Round by round")]
    in_sight = opening[: opening.index("<details>")] + opening[opening.index("</details>") :]
    assert len(in_sight.splitlines()) < 40


def _child(history: History, number: int, parent: int) -> Job:
    origin = Origin(parent=JobId(parent), changes=("a@set=1",))
    return replace(history.jobs[1], id=JobId(number), name=f"job_{number}", round=number, origin=origin)


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
    history = replace(history, proposals=(*history.proposals, *history.proposals[2:4] * 10))
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
