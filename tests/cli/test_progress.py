"""What a person sees while the loop works, on a terminal and in a log file."""

import io
from dataclasses import dataclass, field

import pytest

from auto_loop.cli.progress import Console, duration, number
from auto_loop.domain.event import Event


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Scene:
    stream: io.StringIO = field(default_factory=io.StringIO)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.console = Console(self.stream, lambda: self.now)

    def tell(self, kind: str, at: float, **detail: object) -> str:
        """What is printed when this is told at that second."""
        self.now = at
        before = len(self.stream.getvalue())
        self.console.on_event(Event(kind=kind, at=at, study="s", loop=1, detail=detail))  # type: ignore[arg-type] # JSON
        return self.stream.getvalue()[before:]


def cell(**changes: object) -> dict[str, object]:
    return {"slot": 0, "job": "a", "step": 40, "steps": 100, "metric": "eval/l1", "value": 0.12345, **changes}


def progress(*cells: dict[str, object]) -> dict[str, object]:
    return {"round": 2, "rounds": 3, "done": 5, "total": 8, "slots": list(cells)}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_log_gets_a_status_line_now_and_then_with_rounds_slots_steps_and_the_metric(scene: Scene) -> None:
    assert scene.tell("progress", 1.0, **progress(cell())) == ""
    line = scene.tell("progress", 11.0, **progress(cell(), cell(slot=1, job="b", value=None)))
    assert line == "[0:00:11] round 2/3 · 5/8 done | slot 0 a step 40/100 eval/l1 0.1235 | slot 1 b step 40/100\n"
    assert scene.tell("progress", 12.0, **progress(cell())) == ""


def test_a_job_that_has_logged_nothing_yet_is_said_to_be_starting(scene: Scene) -> None:
    line = scene.tell("progress", 11.0, **progress(cell(step=0, value=None)))
    assert line.endswith("slot 0 a starting, nothing logged yet\n")


def test_a_terminal_has_one_status_line_that_is_rewritten_and_cleared_before_news() -> None:
    scene = Scene(stream=Terminal())
    first = scene.tell("progress", 2.0, **progress(cell()))
    assert first.startswith("\r\x1b[2K[0:00:02]")
    assert "\n" not in first
    news = scene.tell("job ended", 3.0, job="a", slot=0, outcome="succeeded", cause="", seconds=75.0)
    assert news.startswith("\r\x1b[2K[0:00:03] succeeded")
    assert news.endswith("in 1 m 15 s\n")


def test_a_failed_job_says_its_cause(scene: Scene) -> None:
    line = scene.tell("job ended", 3.0, job="a", slot=0, outcome="failed", cause="ValueError: no", seconds=2.0)
    assert line == "[0:00:03] failed     slot 0  a  in 2 s  ValueError: no\n"


def test_a_kind_that_nobody_prints_prints_nothing(scene: Scene) -> None:
    assert scene.tell("something new", 1.0) == ""


def test_figures_and_times_are_short() -> None:
    assert [number(value) for value in (0.123456, 2.6e-85, 12, None)] == ["0.1235", "2.6e-85", "12", "None"]
    assert [duration(seconds) for seconds in (0.4, 59.6, 61, 3600, 7500)] == [
        "0 s", "1 m 00 s", "1 m 01 s", "1 h 00 m", "2 h 05 m",
    ]  # fmt: skip
