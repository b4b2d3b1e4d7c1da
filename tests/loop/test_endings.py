"""How an exit is judged: outcome, class of failure, and cause."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_loop.domain.failure import Failure
from auto_loop.domain.job import Ending, Exit, Outcome, StopCause, StopIntent
from auto_loop.domain.secrets import secrets_of
from auto_loop.launch.profile import FailurePattern
from auto_loop.launch.profile_text import shipped_profile
from auto_loop.loop.endings import Known, Logged, ending

KEY = "0123456789abcdef0123456789abcdef01234567"
PATTERNS = shipped_profile("act_ot").failures
BEGUN = Logged(last_step=50, steps=2000)
NOT_BEGUN = Logged(steps=2000)

LAUNCHER = """Traceback (most recent call last):
  File "/opt/venv/bin/accelerate", line 8, in <module>
subprocess.CalledProcessError: Command '['python', 'run.py', 'train.py', '--steps=5']' {how}.
"""


def stop(cause: StopCause = StopCause.PERSON, text: str = "stopped on request", at: float = 4.0) -> StopIntent:
    return StopIntent(at=at, cause=cause, text=text, grace_s=30.0)


def judged(
    returncode: int | None,
    *,
    inner: str = "",
    error: str = "",
    tail: str = "",
    asked: StopIntent | None = None,
    logged: Logged = BEGUN,
) -> Ending:
    seen = Exit(returncode=returncode, ended_at=5.0, inner=inner, error=error)
    return ending(seen, Known(log_tail=tail, logged=logged, stop=asked), PATTERNS)


@pytest.mark.parametrize(
    ("found", "outcome", "cause"),
    [
        (judged(0), Outcome.SUCCEEDED, ""),
        (judged(0, asked=stop()), Outcome.STOPPED, "stopped on request"),
        (judged(143, asked=stop()), Outcome.STOPPED, "stopped on request"),
        (judged(143), Outcome.FAILED, "ended by SIGTERM"),
        (judged(-9), Outcome.FAILED, "killed by SIGKILL: by someone, or by the kernel for want of memory"),
        (judged(137), Outcome.FAILED, "killed by SIGKILL: by someone, or by the kernel for want of memory"),
        (judged(-15), Outcome.FAILED, "killed by SIGTERM"),
        (judged(-64), Outcome.FAILED, "killed by SIGRTMAX"),
        (judged(3), Outcome.FAILED, "exit code 3"),
        (judged(1, inner="ValueError: no"), Outcome.FAILED, "ValueError: no"),
        (judged(127, error="could not be started: no such file"), Outcome.FAILED, "could not be started: no such file"),
        (judged(None), Outcome.LOST, "nobody saw how it ended"),
        (judged(None, error="the attempt was already claimed"), Outcome.LOST, "the attempt was already claimed"),
    ],
)
def test_outcome_and_cause(found: Ending, outcome: Outcome, cause: str) -> None:
    assert (found.outcome, found.cause) == (outcome, cause)


@pytest.mark.parametrize("cause", [StopCause.PERSON, StopCause.JOB_TIMEOUT, StopCause.MAX_HOURS])
@pytest.mark.parametrize("returncode", [0, 1, 143, -9, None])
def test_what_was_asked_to_stop_is_stopped_however_it_ended(cause: StopCause, returncode: int | None) -> None:
    found = judged(returncode, asked=stop(cause, "words"), tail="torch.OutOfMemoryError: CUDA out of memory")
    assert (found.outcome, found.failure, found.cause) == (Outcome.STOPPED, None, "words")


@pytest.mark.parametrize("cause", [StopCause.STALL, StopCause.START_TIMEOUT])
@pytest.mark.parametrize("returncode", [0, 143, -9, None])
def test_what_was_stopped_for_its_silence_hung(cause: StopCause, returncode: int | None) -> None:
    found = judged(returncode, asked=stop(cause, "silent for 30 min"))
    assert (found.outcome, found.failure, found.cause) == (Outcome.FAILED, Failure.HANG, "silent for 30 min")


def test_what_a_trainer_left_behind_and_was_stopped_does_not_undo_its_work() -> None:
    seen = Exit(returncode=0, ended_at=5.0, leader_ended_at=3.0)
    for cause in StopCause:
        assert ending(seen, Known(logged=BEGUN, stop=stop(cause, at=4.0)), ()).outcome is Outcome.SUCCEEDED
    assert ending(seen, Known(logged=BEGUN, stop=stop(at=2.0)), ()).outcome is Outcome.STOPPED


def test_what_ended_before_it_was_asked_is_judged_by_itself() -> None:
    late = stop(at=6.0)
    assert judged(0, asked=late).outcome is Outcome.SUCCEEDED
    assert judged(-11, asked=late).failure is Failure.CRASH


@pytest.mark.parametrize(
    ("found", "failure"),
    [
        (judged(0), None),
        (judged(None), Failure.LOST),
        (judged(127, error="could not be started: [Errno 12]"), Failure.TRANSIENT),
        (judged(127, error="could not be started: [Errno 28] No space left on device"), Failure.DISK_FULL),
        (judged(None, error="its keeper could not make a claim (is the disk full?)"), Failure.TRANSIENT),
        (judged(1, inner="OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"), Failure.OUT_OF_MEMORY),
        (judged(1, inner="RuntimeError: boom", tail="torch.OutOfMemoryError: CUDA out"), Failure.OUT_OF_MEMORY),
        (judged(1, inner="MemoryError", tail="OSError: [Errno 28] No space left on device"), Failure.OUT_OF_MEMORY),
        (
            judged(1, inner="SystemExit: 1", tail="error: the loss is not finite at step 9: loss=inf"),
            Failure.NOT_FINITE,
        ),
        (judged(-9), Failure.PREEMPTED),
        (judged(-15), Failure.PREEMPTED),
        (judged(143), Failure.PREEMPTED),
        (judged(137), Failure.PREEMPTED),
        (judged(1, inner="ended by SIGTERM"), Failure.PREEMPTED),
        (judged(1, inner="KeyboardInterrupt"), Failure.PREEMPTED),
        (judged(1), Failure.PREEMPTED),
        (judged(1, tail=LAUNCHER.format(how="died with <Signals.SIGKILL: 9>")), Failure.PREEMPTED),
        (judged(1, tail=LAUNCHER.format(how="died with <Signals.SIGSEGV: 11>")), Failure.CRASH),
        (judged(1, tail="traceback : Signal 9 (SIGKILL) received by PID 77"), Failure.PREEMPTED),
        (judged(1, tail="Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent"), Failure.CRASH),
        (judged(1, tail="Fatal Python error: none_dealloc: deallocating None"), Failure.CRASH),
        (judged(1, tail="Traceback (most recent call last):\nImportError: torch"), Failure.CRASH),
        (judged(-11), Failure.CRASH),
        (judged(-6, logged=NOT_BEGUN), Failure.CRASH_AT_START),
        (judged(1, inner="KeyError: 'x'"), Failure.CRASH),
        (judged(1, inner="KeyError: 'x'", logged=Logged(last_step=3, not_finite=True)), Failure.NOT_FINITE),
        (judged(1, inner="KeyError: 'x'", logged=NOT_BEGUN), Failure.CRASH_AT_START),
        (judged(2, logged=NOT_BEGUN), Failure.CONFIG_REFUSED),
        (judged(1, inner="SystemExit: 2", logged=NOT_BEGUN), Failure.CONFIG_REFUSED),
        (judged(2), Failure.CRASH),
        (judged(1, inner="DecodingError: `steps`: no", logged=NOT_BEGUN), Failure.CONFIG_REFUSED),
        (judged(1, inner="DecodingError: `steps`: no"), Failure.CRASH),
    ],
)
def test_the_class_of_a_failure(found: Ending, failure: Failure | None) -> None:
    assert found.failure is failure


def test_a_bare_exit_code_gives_way_to_the_line_that_told_the_class() -> None:
    tail = "step 8\nerror: the loss is not finite at step 9: loss=inf\nstopped before"
    assert judged(1, inner="SystemExit: 1", tail=tail).cause == "error: the loss is not finite at step 9: loss=inf"
    assert judged(1, tail="OSError: [Errno 28] No space left on device").cause.startswith("OSError: [Errno 28]")
    assert judged(1, inner="ValueError: no", tail=tail).cause == "ValueError: no"


def test_the_signal_that_the_launcher_names_is_in_the_cause() -> None:
    assert judged(1, tail=LAUNCHER.format(how="died with <Signals.SIGKILL: 9>")).cause.startswith("killed by SIGKILL")
    assert judged(1, tail=LAUNCHER.format(how="died with <Signals.SIGSEGV: 11>")).cause == "ended by SIGSEGV"


def test_patterns_of_the_profile_go_in_their_order() -> None:
    first = FailurePattern(failure=Failure.TRANSIENT, pattern=re.compile("boom"))
    second = FailurePattern(failure=Failure.GPU_LOST, pattern=re.compile("bo+m"))
    seen = Exit(returncode=1, ended_at=5.0, inner="RuntimeError: boom")
    assert ending(seen, Known(), (first, second)).failure is Failure.TRANSIENT
    assert ending(seen, Known(), (second, first)).failure is Failure.GPU_LOST


def test_the_log_is_kept_for_what_went_wrong_only() -> None:
    assert judged(0, tail="fine").log_tail == ""
    assert judged(1, tail="boom").log_tail == "boom"


def test_what_looks_like_a_key_reaches_neither_cause_nor_log_tail() -> None:
    found = judged(1, inner=f"AuthError: key {KEY} was refused", tail=f"WANDB_API_KEY={KEY}\nboom")
    assert KEY not in found.cause + found.log_tail
    assert "was refused" in found.cause
    assert "boom" in found.log_tail


def test_a_secret_without_a_shape_is_masked_when_it_is_known() -> None:
    seen = Exit(returncode=1, ended_at=5.0, inner="Refused: hush-hush")
    found = ending(seen, Known(log_tail="it was hush-hush"), (), secrets_of({"MY_API_KEY": "hush-hush"}))
    assert (found.cause, found.log_tail) == ("Refused: ***", "it was ***")


TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(["Error", "loss is nan", "SIGKILL", "\n", ": ", "torch.", "[rank0]: ", "\x00", "\ud800", "2"])
    ).map("".join),
)


@settings(max_examples=150, deadline=None)
@given(
    returncode=st.one_of(st.none(), st.integers(-200, 300)),
    inner=TEXTS,
    error=TEXTS,
    tail=TEXTS,
    cause=st.one_of(st.none(), st.sampled_from(StopCause)),
    step=st.one_of(st.none(), st.integers()),
)
def test_whatever_is_seen_is_judged(
    returncode: int | None, inner: str, error: str, tail: str, cause: StopCause | None, step: int | None
) -> None:
    asked = None if cause is None else stop(cause)
    found = judged(returncode, inner=inner, error=error, tail=tail, asked=asked, logged=Logged(last_step=step, steps=9))
    assert (found.failure is not None) == (found.outcome in (Outcome.FAILED, Outcome.LOST))
    assert (found.cause == "") == (found.outcome is Outcome.SUCCEEDED)


def test_a_long_line_takes_no_long_time() -> None:
    lines: Sequence[str] = ("a" * 100_000, "Error " * 20_000, "[rank1]: " + "x." * 50_000, "loss " * 20_000)
    for line in lines:
        assert judged(1, inner="ValueError: no", tail=line).failure is Failure.CRASH
