from contextlib import closing

from auto_loop.domain.call import AutorunCall
from auto_loop.ledger.reading import Reading
from benchmarks.growth import stub
from benchmarks.recovery import killed_once
from benchmarks.schedulers import OURS, STUDY, Scheduler, Work, begin_autorun, project, schedulers
from benchmarks.seeding import LOOP, seed


def test_a_kill_of_the_supervisor_repeats_no_job_and_loses_none():
    found = killed_once(OURS, jobs=4)
    assert (found.executions, found.results, found.orphans) == (4, 4, 0)
    assert found.left > 0


def test_what_a_dead_scheduler_left_running_is_an_orphan():
    found = killed_once(Scheduler(name="never begun again", begin=begin_autorun), jobs=2)
    assert (found.left, found.orphans) == (2, 2)


def test_absent_peers_are_notes_and_no_errors(tmp_path):
    here, notes = schedulers(tmp_path / "no environment")
    assert OURS in here
    assert [each.split()[0] for each in notes][-2:] == ["simple-gpu-scheduler", "Optuna"]


def test_a_seeded_loop_is_resumed_and_only_what_was_queued_is_run(tmp_path):
    work = Work(folder=tmp_path, jobs=5)
    project(work)
    (tmp_path / "train.py").write_text("raise SystemExit('never run')\n")
    names = tuple(f"job{number:03}.json" for number in range(work.jobs))
    call = AutorunCall(cfgs=names, profile="script.toml", train_script="train.py", device="cpu", concurrency=2)
    seed(tmp_path, call, STUDY, 7)
    assert len(stub(tmp_path, "resume")["cpu_s"]) == work.jobs - 1
    with closing(Reading.open(tmp_path / "outputs" / "ledger.sqlite3")) as reading:
        ended = reading.outcomes(LOOP)
    assert {outcome.value for outcome in ended.values() if outcome} == {"succeeded"}
    assert len(ended) == 12
