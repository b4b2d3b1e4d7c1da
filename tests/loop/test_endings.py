"""How an exit is judged: outcome and cause."""

import pytest

from auto_loop.domain.job import Ending, Exit, Outcome
from auto_loop.domain.secrets import secrets_of
from auto_loop.loop.endings import ending

KEY = "0123456789abcdef0123456789abcdef01234567"


def judged(returncode: int | None, *, inner: str = "", error: str = "", asked: bool = False, tail: str = "") -> Ending:
    seen = Exit(returncode=returncode, ended_at=5.0, inner=inner, error=error)
    return ending(seen, tail, asked_to_stop=asked)


@pytest.mark.parametrize(
    ("found", "outcome", "cause"),
    [
        (judged(0), Outcome.SUCCEEDED, ""),
        (judged(0, asked=True), Outcome.STOPPED, "stopped on request"),
        (judged(143, asked=True), Outcome.STOPPED, "stopped on request"),
        (judged(143), Outcome.FAILED, "ended by SIGTERM"),
        (judged(-9), Outcome.FAILED, "killed by SIGKILL"),
        (judged(-64), Outcome.FAILED, "killed by SIGRTMAX"),
        (judged(3), Outcome.FAILED, "exit code 3"),
        (judged(1, inner="ValueError: no"), Outcome.FAILED, "ValueError: no"),
        (judged(127, error="could not be started: no such file"), Outcome.FAILED, "could not be started: no such file"),
        (judged(None), Outcome.LOST, "nobody saw how it ended"),
        (judged(None, asked=True), Outcome.LOST, "nobody saw how it ended"),
    ],
)
def test_outcome_and_cause(found: Ending, outcome: Outcome, cause: str) -> None:
    assert (found.outcome, found.cause) == (outcome, cause)


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
    found = ending(seen, "it was hush-hush", asked_to_stop=False, secrets=secrets_of({"MY_API_KEY": "hush-hush"}))
    assert (found.cause, found.log_tail) == ("Refused: ***", "it was ***")
