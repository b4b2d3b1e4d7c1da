"""What a report tells of failures, retries, remedies, stops, and of slots that were left alone."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from auto_loop.domain.history import History
from auto_loop.domain.job import Attempt, JobId, JobState, Outcome
from auto_loop.reporting.report import report
from auto_loop.reporting.to_json import to_json
from auto_loop.reporting.to_markdown import to_markdown
from auto_loop.reporting.tries import nth
from auto_loop.reporting.troubles import TITLE
from tests.reporting.night import KEY, LENS, NIGHT, night
from tests.reporting.test_report import NASTY, PARSER
from tests.reporting.troubled import UNDRIVEN, events, troubled

NOW = NIGHT + 950.0


def markdown(history: History | None = None) -> str:
    return to_markdown(report(history or troubled(), LENS, NOW, events=events(), undriven=UNDRIVEN))


def row(number: int, text: str) -> list[str]:
    """The cells of a job in the section on what went wrong."""
    section = text[text.index(f"## {TITLE}") : text.index("## Round by round")]
    line = next(line for line in section.splitlines() if line.startswith(f"| {number} "))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_night_in_which_all_went_well_says_nothing_of_trouble() -> None:
    calm = replace(night(), jobs=tuple(job for job in night().jobs if job.id not in (4, 7)), silences=())
    text = to_markdown(report(calm, LENS, NOW))
    assert TITLE not in text
    assert "What followed" not in text
    assert " try, " not in text


def test_a_remedied_job_says_what_changed_and_who_took_its_place() -> None:
    text = markdown()
    _, wrong, done, stands = row(1, text)
    assert wrong.startswith("out of memory: torch.OutOfMemoryError")
    assert done == "`batch_size 32 → 16` as job 8 `j8` took its place"
    assert stands == "job 8 succeeded"
    assert "job 1 `j1` failed" not in text[: text.index(f"## {TITLE}")], "what was mended needs no attention"
    assert "- In place of: job 1 `j1`, which failed: out of memory" in text
    assert "| in place of job 1: `batch_size@mul=0.5` |" in text
    assert "(1 of the failed replaced by a remedied job)" in text


def test_a_remedy_s_row_is_right_behind_the_one_whose_place_it_took() -> None:
    jobs = [replace(job, outcome=Outcome.FAILED) if job.id == 8 else job for job in troubled().jobs]
    section = markdown(replace(troubled(), jobs=tuple(jobs))).partition(f"## {TITLE}")[2]
    rows = [line.split()[1] for line in section.partition("## Round")[0].splitlines() if line.startswith("| ")][2:]
    assert rows[:3] == ["1", "8", "2"]


def test_a_retry_says_when_from_where_and_how_it_came_out() -> None:
    text = markdown()
    _, wrong, done, stands = row(2, text)
    assert wrong == "1st try: lost: nobody saw how it ended"
    assert done == "tried again after 10 s (from its checkpoint)"
    assert stands == "succeeded at the 2nd try"
    assert "| 2 `j2` | succeeded, 1 m 30 s, 2nd try, from its checkpoint |" in text


def test_a_job_that_waits_for_its_next_try_says_until_when() -> None:
    _, wrong, done, stands = row(3, markdown())
    assert wrong.startswith("1st try: transient: OSError")
    assert "2nd try: hang: neither a metric" in wrong
    assert done == (
        "asked to stop at 2025-11-21 02:08 UTC, ended 1.0 s later;"
        " tried again after 10 s; to be tried again from 2025-11-21 02:08 UTC on"
    )
    assert stands == "queued for its 3rd try"


def test_a_stop_says_who_asked_and_when() -> None:
    text = markdown()
    _, wrong, done, stands = row(4, text)
    assert wrong.startswith("stopped by ann@box")
    assert done == "asked to stop at 2025-11-21 01:54 UTC, ended 3.0 s later"
    assert stands == "stopped"
    assert row(6, text)[1:] == ["withdrawn by ann@box", "taken out of the queue", "cancelled"]


def test_an_attempt_that_never_ran_is_not_counted() -> None:
    whole = report(troubled(), LENS, NOW)
    job = whole.job(JobId(5))
    assert job is not None
    assert (job.attempts, [one.tried for one in job.tries]) == (1, [0, 1])
    assert "| 5 `j5` | succeeded, 1 m 30 s |" in markdown()


def test_what_is_not_tried_again_says_why() -> None:
    text = markdown()
    _, _, done, stands = row(7, text)
    assert done == "a config that the trainer refused is never tried again"
    assert stands == "**failed: config refused**"
    assert "`last` (`.codex_tmp/slot1_j7.log`); a config that the trainer refused is never tried again" in text


def test_a_slot_that_was_left_alone_is_told_once() -> None:
    told = [line for line in markdown().splitlines() if "left alone" in line]
    assert told == [
        "- slot 1 (GPU 3) was left alone at 2025-11-21 01:53 UTC:"
        " GPU 3 is used by process 991 (python, 12 GB), which is none of ours (2 times)"
    ]


def test_a_loop_that_was_left_says_how_to_go_on_and_one_that_is_driven_does_not() -> None:
    assert "it was left unfinished; nobody drives the study: its supervisor left; `auto-loop autorun" in markdown()
    assert "it has not stopped" in to_markdown(report(troubled(), LENS, NOW))


def test_no_key_of_a_stop_or_a_log_is_told() -> None:
    whole = report(troubled(), LENS, NOW, events=events())
    assert KEY not in to_markdown(whole) + to_json([whole])


def test_the_json_has_every_attempt_and_whose_place_a_job_took() -> None:
    studies = json.loads(to_json([report(troubled(), LENS, NOW)]))["studies"]
    jobs = {job["job"]: job for job in studies["act_ot"]["rounds"][0]["jobs"]}
    assert (jobs[1]["failure"], jobs[8]["remedy_of"], jobs[2]["failure"]) == ("out of memory", 1, None)
    assert [one["resumed"] for one in jobs[2]["attempt_list"]] == [False, True]
    assert [one["failure"] for one in jobs[3]["attempt_list"]] == ["transient", "hang"]
    assert jobs[3]["attempt_list"][1]["stop"]["by"] == "start timeout"
    assert [one["outcome"] for one in jobs[5]["attempt_list"]] == ["cancelled", "succeeded"]


def test_a_job_that_is_being_stopped_says_why() -> None:
    jobs = [
        replace(
            job,
            state=JobState.RUNNING,
            outcome=None,
            attempts=(replace(job.attempts[0], outcome=None, ended_at=None, cause=""),),
        )
        if job.id == 4
        else job
        for job in troubled().jobs
    ]
    _, wrong, done, stands = row(4, markdown(replace(troubled(), jobs=tuple(jobs))))
    assert (wrong[:19], done) == ("stopped by ann@box ", "asked to stop at 2025-11-21 01:54 UTC")
    assert stands == "running"


@settings(max_examples=40, deadline=None)
@given(NASTY)
def test_no_text_from_outside_changes_the_shape_of_what_is_told(nasty: str) -> None:
    def blocks(text: str) -> list[str]:
        jobs = tuple(replace(job, cause=text, attempts=_filled(job.attempts, text)) for job in troubled().jobs)
        told = tuple(
            replace(each, detail={"text": text, "slot": text, "where": text, "cause": text}) for each in events()
        )
        history = replace(troubled(), jobs=jobs)
        whole = report(history, LENS, NOW, events=told, undriven=text)
        return [token.type for token in PARSER.parse(to_markdown(whole))]

    assert blocks(nasty) == blocks("plain")


def test_events_that_say_less_than_they_should_cost_no_report() -> None:
    bare = tuple(replace(each, detail={}) for each in events())
    text = to_markdown(report(troubled(), LENS, NOW, events=bare))
    assert row(7, text)[2] == "not tried again"
    assert "- slot ? was left alone" in text


def _filled(attempts: tuple[Attempt, ...], text: str) -> tuple[Attempt, ...]:
    return tuple(
        replace(one, cause=text, log_tail=text, log_file=text, stop=replace(one.stop, text=text) if one.stop else None)
        for one in attempts
    )


@pytest.mark.parametrize(("number", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th")])
def test_ordinals(number: int, word: str) -> None:
    assert nth(number) == word
