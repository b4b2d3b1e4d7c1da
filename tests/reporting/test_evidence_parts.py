"""Parts of what a report claims, each from a history made for it: noise, live rules, what waits, and hostile texts."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auto_loop.domain.config import Config, Json
from auto_loop.domain.decision import Decision, DecisionId, DecisionKind, ParentSeen, RulesAsked
from auto_loop.domain.event import Event
from auto_loop.domain.history import History
from auto_loop.domain.job import FORK, REPEAT, Job, JobId, Origin, Outcome, StopCause, StopIntent
from auto_loop.domain.noise import NoiseFloor
from auto_loop.domain.paths import parse_path
from auto_loop.domain.proposal import Verdict
from auto_loop.reporting.effect_text import listed, single
from auto_loop.reporting.report import LIVE_RULE, report
from auto_loop.reporting.rule_records import WITHOUT_METRICS
from auto_loop.reporting.to_json import to_json
from auto_loop.reporting.to_markdown import to_markdown
from tests.reporting.night import L1, LENS, MASS, NIGHT, NOW, night, stats

PARSER = MarkdownIt("commonmark").enable("table")
SEEDED = replace(LENS, seed=parse_path("seed"))


def told(history: History, *events: Event) -> str:
    return to_markdown(report(history, SEEDED, NOW, events=events))


def changed(history: History, number: int, **fields: object) -> History:
    jobs = tuple(replace(job, **fields) if job.id == number else job for job in history.jobs)  # type: ignore[arg-type] # fields of Job
    return replace(history, jobs=jobs)


def repeats(history: History, lead: int, values: list[float], first: int = 50) -> History:
    """`history` with the job `lead` under seed 1, and under further seeds with these values of the main metric."""
    source = next(job for job in history.jobs if job.id == lead)
    history = changed(history, lead, config=Config.of({"steps": 500, "seed": 1}))
    more: list[Job] = []
    summaries = dict(history.summaries)
    for at, value in enumerate(values):
        config = Config.of({"steps": 500, "seed": at + 2})
        origin = Origin(parent=JobId(lead), proposer=REPEAT, changes=(f"seed@set={at + 2}",))
        more.append(replace(source, id=JobId(first + at), name=f"again_{first + at}", config=config, origin=origin))
        summaries[JobId(first + at)] = replace(summaries[JobId(lead)], metrics={L1: stats(0.5, value, value)})
    return replace(history, jobs=(*history.jobs, *more), summaries=summaries)


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (None, "0.012 lower; one seed each, noise not known"),
        (NoiseFloor(sd=None, df=0, cells=0), "0.012 lower; one seed each, noise not known"),
        (NoiseFloor(sd=0.01, df=8, cells=2), "0.012 lower; one seed each, within the noise floor of ±0.026"),
        (
            NoiseFloor(sd=0.001, df=8, cells=2),
            "0.012 lower; one seed each, beyond the noise floor of ±0.0026, which one seed alone cannot confirm",
        ),
        (
            NoiseFloor(sd=0.1, df=8, cells=2, paired_sd=0.01, paired_df=4),
            "0.012 lower; one seed each, within the noise floor of ±0.021",
        ),
    ],
)
def test_the_difference_of_two_single_runs_is_said_with_what_the_noise_makes_of_it(
    noise: NoiseFloor | None, said: str
) -> None:
    assert single(-0.012, noise) == said


def test_numbers_in_a_row_are_told_as_a_span() -> None:
    assert listed([3]) == "job 3"
    assert listed([9, 7, 8, 3, 14]) == "jobs 3, 7–9, 14"


def test_repeats_do_not_clutter_the_lineage_and_a_failed_one_is_told() -> None:
    history = repeats(night(), 6, [0.31, 0.32])
    history = changed(history, 51, outcome=Outcome.FAILED)
    text = told(history)
    assert "how it came about: job 2 (`act_ot_baseline`): 0.3256 → job 6 (" in text
    assert "| jobs 6, 50–51 `act_ot_baseline_h2jr9c`, seeds 1–3 | 2 succeeded, 1 **failed**, 1 m 33 s each |" in text
    assert "#### Job 50: again_50" not in text
    assert "#### Job 51: again_51" in text
    assert "Lineage: job 2 → job 50" not in text


def test_a_loop_without_repeats_is_judged_by_the_noise_of_another_and_says_of_which() -> None:
    text = told(repeats(night(), 1, [0.34, 0.35]))
    assert "(from 1 config, 2 degrees of freedom, from loop 1763600000)" in text
    assert "(0.3182, job 3): one seed each, within the noise floor of ±0.042." in text


def test_a_rule_that_was_measured_often_and_never_helped_is_named() -> None:
    history = night()
    bad = [replace(history.proposals[0], improved=False) for _ in range(3)]
    assert "Never helped in this study: `mass_dead` (0 of 3)." in told(replace(history, proposals=tuple(bad)))


def test_what_live_rules_stopped_is_told_with_its_successor_and_is_no_trouble() -> None:
    history = night()
    stop = StopIntent(
        at=NIGHT + 50.0, cause=StopCause.RULE, text="live rule 'dead' at step 300: mass is 0", grace_s=30.0
    )
    stopped = next(job for job in history.jobs if job.id == 2)
    attempts = (replace(stopped.attempts[0], stop=stop, outcome=Outcome.STOPPED, cause=stop.text),)
    history = changed(history, 2, outcome=Outcome.STOPPED, attempts=attempts)
    six = next(job for job in history.jobs if job.id == 6)
    history = changed(history, 6, origin=replace(six.origin, proposer=FORK, rule="dead"))
    events = [
        Event(
            kind=LIVE_RULE, at=1.0, study="s", loop=NIGHT, job=JobId(3), detail={"rule": "flat", "text": "it is flat"}
        ),
        *(
            Event(
                kind=WITHOUT_METRICS, at=1.0, study="s", loop=NIGHT, job=JobId(n), detail={"rules": {"nan": ["loss"]}}
            )
            for n in (2, 3, 5, 6, 7)
        ),
    ]
    text = told(history, *events)
    assert "- **Live rules**: 1 job stopped early (job 2); 1 changed successor started, 1 warning." in text
    row = next(line for line in text.splitlines() if line.startswith("| 2 `act_ot_baseline` | live rule"))
    assert "| successor job 6 `act_ot_baseline_h2jr9c` (`features.3.weight_label@mul=0.00001`" in row
    assert "- `flat` (job 3): it is flat" in text
    assert "- live rule `nan` lacked `loss`" in text
    assert "- Successor of: job 2, which a live rule stopped" in text
    troubles = text[text.index("## What went wrong") : text.index("## What live rules did")]
    assert "| 2 `act_ot_baseline`" not in troubles


def test_a_live_rule_whose_metrics_one_run_had_is_not_named() -> None:
    event = Event(
        kind=WITHOUT_METRICS, at=1.0, study="s", loop=NIGHT, job=JobId(3), detail={"rules": {"nan": ["loss"]}}
    )
    assert "live rule `nan`" not in told(night(), event)


@pytest.mark.parametrize(
    ("review", "said"),
    [
        (True, "**Waiting for a person**: 1 proposal; `auto-loop review act_ot`"),
        (False, "**Waiting for a slot**: 1 prop"),
    ],
)
def test_what_waits_is_told_with_the_command_that_decides_on_it(review: bool, said: str) -> None:
    history = night()
    waits = replace(history.proposals[3], verdict=Verdict.WAITING, reasons=(), id=7)
    loops = tuple(replace(loop, flags={**loop.flags, "review": review}) for loop in history.loops)
    text = told(replace(history, loops=loops, proposals=(*history.proposals[:3], waits)))
    assert said in text
    assert "| 7 | job 5 `act_ot_few_features` | `l1_plateau` |" in text


def test_a_child_that_still_runs_is_to_be_measured_and_a_failed_one_was_not() -> None:
    history = night()
    foreseen = tuple(replace(one, predictions={MASS: 0.5}) for one in history.proposals)
    text = told(replace(history, proposals=foreseen))
    assert f"| 8 `act_ot_baseline_k3m1xz` | `{MASS}` | 0.5 | to be measured | – | – |" in text
    assert f"| 6 `act_ot_baseline_h2jr9c` | `{MASS}` | 0.5 | 0.31 | -0.48 nats | hit |" in text
    failed = changed(replace(history, proposals=foreseen), 6, outcome=Outcome.FAILED)
    assert "| 0.5 | not measured (failed) | – | – |" in told(failed)


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"parents": "x"},
        {"parents": [{"job": "one"}]},
        {"effect": {"method": 3}},
        {"parents": [{"job": 1, "diagnoses": [1]}]},
    ],
)
@pytest.mark.parametrize("kind", list(DecisionKind))
def test_a_decision_that_cannot_be_read_costs_no_report(kind: DecisionKind, detail: dict[str, Json]) -> None:
    bad = Decision(loop=NIGHT, round=1, kind=kind, at=1.0, detail=detail, id=DecisionId(1))
    assert told(replace(night(), decisions=(bad,))) == told(night())


NASTY = st.text(st.sampled_from('|`*_[]<>~\\#-+=1. \n\r&\x1b\u2028aB"/:'), min_size=1).map(lambda text: f"x{text}")


@settings(max_examples=40, deadline=None)
@given(NASTY, NASTY)
def test_no_text_of_a_pack_changes_the_shape_of_a_report(name: str, text: str) -> None:
    def blocks(name: str, text: str) -> list[str]:
        seen = ParentSeen(job=JobId(2), diagnoses=((name, text),), unknown={name: (text,)})
        asked = RulesAsked(event="x", parents=(seen,), room=1, per_parent=1).to_json()
        decision = Decision(loop=NIGHT, round=1, kind=DecisionKind.ROUND, at=1.0, detail=asked, id=DecisionId(1))
        warned = Event(kind=LIVE_RULE, at=1.0, study="s", loop=NIGHT, job=JobId(3), detail={"rule": name, "text": text})
        proposals = tuple(replace(one, predictions={name: 0.1}) for one in night().proposals)
        whole = report(replace(night(), decisions=(decision,), proposals=proposals), SEEDED, NOW, events=[warned])
        to_json([whole]).encode("utf-8")
        return [token.type for token in PARSER.parse(to_markdown(whole))]

    assert blocks(name, text) == blocks("plain", "one line")


def test_a_secret_in_a_pack_s_words_is_masked() -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    seen = ParentSeen(job=JobId(2), diagnoses=(("leak", f"api_key={key}"),))
    asked = RulesAsked(event="x", parents=(seen,), room=1, per_parent=1).to_json()
    decision = Decision(loop=NIGHT, round=1, kind=DecisionKind.ROUND, at=1.0, detail=asked, id=DecisionId(1))
    whole = report(replace(night(), decisions=(decision,)), SEEDED, NOW)
    assert key not in to_markdown(whole) + to_json([whole])
