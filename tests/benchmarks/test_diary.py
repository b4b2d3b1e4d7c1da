from benchmarks.diary import Diary, alive

TEXT = """\
start job000 11 100.0
start job001 12 100.5
end job000 11 101.0
start job001 13 103.0
end job001 13 104.0
start job002 14 104.5
"""


def test_a_job_that_is_begun_twice_is_two_executions_and_one_result():
    diary = Diary.parse(TEXT)
    assert diary.executions == {"job000": 1, "job001": 2, "job002": 1}
    assert diary.results == {"job000", "job001"}


def test_an_execution_is_open_until_its_own_process_ends_it():
    assert [(line.job, line.pid) for line in Diary.parse(TEXT).open] == [("job001", 12), ("job002", 14)]


def test_the_first_start_after_a_moment():
    diary = Diary.parse(TEXT)
    assert diary.first_start_after(100.5) == 103.0
    assert diary.first_start_after(105.0) is None


def test_a_line_that_is_still_being_written_is_not_counted():
    assert Diary.parse(TEXT + "end job002 14 10").results == {"job000", "job001"}


def test_no_diary_yet_is_an_empty_one(tmp_path):
    assert Diary.read(tmp_path / "diary").executions == {}


def test_a_zombie_is_not_alive():
    import os

    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not alive(pid)
    os.waitpid(pid, 0)
