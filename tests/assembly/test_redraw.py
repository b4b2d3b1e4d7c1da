from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from auto_loop.assembly.redraw import Redraw
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.event import Event
from auto_loop.launch.stub import FakeClock
from auto_loop.workspace.layout import Layout

PROGRESS = Event(kind="progress", at=0.0, study="s", loop=1, detail={})
Drawings = Callable[[], int]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def redraw(tmp_path: Path, clock: FakeClock) -> Redraw:
    around = replace(Surroundings.here(), layout=Layout(tmp_path), clock=clock)
    return Redraw(["sh", "-c", "echo drawn >> drawings"], around)


def drawings(folder: Path) -> int:
    file = folder / "drawings"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_many_ends_at_once_are_one_drawing(redraw: Redraw, clock: FakeClock, tmp_path: Path):
    for _ in range(20):
        redraw()
        redraw.on_event(PROGRESS)
    clock.now += 10
    redraw.on_event(PROGRESS)
    redraw.on_event(PROGRESS)
    assert redraw.finish()
    assert drawings(tmp_path) == 2  # the one that was due, and the last one


def test_nothing_new_is_not_drawn_but_at_the_end(redraw: Redraw, clock: FakeClock, tmp_path: Path):
    clock.now += 10
    redraw.on_event(PROGRESS)
    assert drawings(tmp_path) == 0
    assert redraw.finish()
    assert drawings(tmp_path) == 1


def test_a_drawing_that_failed_is_said(tmp_path: Path, clock: FakeClock):
    around = replace(Surroundings.here(), layout=Layout(tmp_path), clock=clock)
    assert not Redraw(["sh", "-c", "exit 3"], around).finish()


def test_what_cannot_be_started_is_a_drawing_that_failed(redraw: Redraw, clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / ".codex_tmp").write_text("no folder")
    redraw()
    clock.now += 10
    redraw.on_event(PROGRESS)
    assert not redraw.finish()
