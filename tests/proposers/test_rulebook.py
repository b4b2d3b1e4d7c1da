from collections.abc import Sequence
from dataclasses import replace

from auto_loop.domain.history import History
from auto_loop.domain.job import Job, Outcome
from auto_loop.domain.snapshot import Snapshot
from auto_loop.domain.study import Study
from auto_loop.domain.summary import Summary, summary_from_json
from auto_loop.proposers.rulebook import NO_HISTORY, NO_RULE, Rulebook, rank
from auto_loop.rules.pack import parse, shipped_pack
from tests.packs.studies import BASELINE, job_of, metric, summary_of, with_values


def looked_for(folder: str) -> Sequence[str]:
    return (f"{folder}/wandb/latest-run/files/wandb-history.jsonl", f"{folder}/metrics.jsonl")


BOOK = Rulebook(pack=shipped_pack("act_ot"), looked_for=looked_for)


def history(*jobs: Job, **summaries: Summary) -> History:
    known = {job.id: summaries.get(job.name, summary_of(job)) for job in jobs}
    return History(study=Study(name="s", pack="act_ot", profile="act_ot", created_at=0.0), jobs=jobs, summaries=known)


def quiet() -> Summary:
    return summary_from_json({"metrics": {"train/ot_pi_sum": metric(0.1, nan_count=0)}, "config": with_values(
        ot__bc_src_weight=0.4, ot__no_window=True)})  # fmt: skip


def test_a_run_without_readings_is_told_which_files_were_looked_for() -> None:
    job = job_of(BASELINE)
    offer = BOOK.offer([job], history(job, job1=Summary(run_dir="x")))
    (silence,) = offer.silences
    assert silence.cause == NO_HISTORY
    assert "job1/metrics.jsonl" in silence.detail


def test_a_run_on_which_no_rule_fires_is_told_the_nearest_rule_and_its_value() -> None:
    pack = replace(BOOK.pack, rules=tuple(rule for rule in BOOK.pack.rules if rule.name == "mass too low"))
    job = job_of(BASELINE)
    offer = replace(BOOK, pack=pack).offer([job], history(job, job1=quiet()))
    (silence,) = offer.silences
    assert silence.cause == NO_RULE
    assert silence.detail == 'nearest: mass too low: last("train/ot_pi_sum") = 0.1, needs < 1e-06'


def test_rules_that_lack_their_readings_are_named_with_what_they_lack() -> None:
    job = job_of(BASELINE)
    lone = summary_from_json({"metrics": {"train/update_s": metric(0.1)}})
    (silence,) = BOOK.offer([job], history(job, job1=lone)).silences
    assert silence.cause == NO_RULE
    assert 'rules lack last("train/ot_pi_sum")' in silence.detail


def test_only_finished_jobs_of_the_round_are_parents() -> None:
    first, second = job_of(BASELINE, 1, 1), job_of(with_values(ot__lambda_ot=0.2), 2, 2)
    cancelled = replace(job_of(with_values(ot__lambda_ot=0.3), 3, 2), outcome=Outcome.CANCELLED)
    snapshot = Snapshot(study="s", loop=1, round=2, active=(), queue=(), queued=0, done=3)
    offer = BOOK.propose(snapshot, history(first, second, cancelled), 4)
    assert {candidate.parent.id for candidate in offer.candidates} == {2}


def test_the_parent_with_the_best_main_metric_comes_first() -> None:
    worse, better = job_of(BASELINE, 1), job_of(with_values(ot__lambda_ot=0.2), 2)
    low = replace(summary_of(better), metrics={**summary_of(better).metrics, "eval/offline_eval/avg_l1": replace(
        summary_of(better).metrics["eval/offline_eval/avg_l1"], best=0.01)})  # fmt: skip
    offer = BOOK.offer([worse, better], history(worse, better, job2=low))
    assert offer.candidates[0].parent.id == 2
    assert offer.candidates[-1].parent.id == 1


def test_an_objective_may_be_an_expression() -> None:
    goal = parse("[objective]\nexpression = 'last(\"a\") - last(\"b\")'\ndirection = 'higher'")
    runs = [summary_from_json({"metrics": {"a": metric(a), "b": metric(1.0)}}) for a in (3.0, 5.0)]
    assert rank(goal, runs[1]) < rank(goal, runs[0]) < rank(goal, None)
