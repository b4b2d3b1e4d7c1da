"""The layout is what the contracts say, and touches nothing."""

from pathlib import Path

from auto_loop.workspace.layout import Layout

LAYOUT = Layout(Path("project"))


def test_the_folders_and_files_of_a_project():
    places = {
        "train_configs": LAYOUT.train_configs,
        "reports": LAYOUT.reports,
        "outputs": LAYOUT.outputs,
        ".codex_tmp": LAYOUT.scratch,
        ".codex_tmp/proposals": LAYOUT.proposals,
        ".wandb_cache": LAYOUT.wandb_cache,
        "outputs/ledger.sqlite3": LAYOUT.ledger_file,
        "reports/data/autorun_summary.json": LAYOUT.summary_file,
        "reports/act_ot.md": LAYOUT.report_file("act_ot"),
    }
    for text, path in places.items():
        assert path == Path("project") / text


def test_the_files_of_a_job_carry_its_attempt_from_the_second_on():
    loop = LAYOUT.loop_folder("outputs/train", 1700000000)
    assert loop == Path("project/outputs/train/loop_1700000000")
    assert LAYOUT.job_folder(loop, "act_h2jr9c") == loop / "act_h2jr9c"
    assert LAYOUT.job_folder(loop, "act_h2jr9c", 2) == loop / "act_h2jr9c.a2"
    assert LAYOUT.log_file(0, "act") == Path("project/.codex_tmp/slot0_act.log")
    assert LAYOUT.log_file(3, "act", 2) == Path("project/.codex_tmp/slot3_act.a2.log")


def test_an_output_root_of_the_users_own_may_lie_elsewhere():
    assert LAYOUT.loop_folder(Path("/data/train"), 42) == Path("/data/train/loop_0000000042")


def test_the_files_between_supervisor_and_keeper_are_told_apart_by_loop_job_and_attempt():
    folder = Path("project/.codex_tmp/attempts")
    assert LAYOUT.request_file(17, "act", 1) == folder / "17_act.a1.request"
    assert LAYOUT.claim_file(17, "act", 1) == folder / "17_act.a1.claim"
    assert LAYOUT.exit_file(17, "act", 2) == folder / "17_act.a2.exit"
    assert LAYOUT.inner_file(17, "act", 2) == folder / "17_act.a2.inner"
