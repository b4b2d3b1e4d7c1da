"""Data is made once, however many jobs start together, and never half."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from act_jobs import ROOT

from auto_loop.trainers.act.once import Product, make_missing

MAKER = """
import os, sys, time
from pathlib import Path
from auto_loop.trainers.act.once import Product, make_missing
folder, die = Path(sys.argv[1]), len(sys.argv) > 2
def make(place):
    place.mkdir()
    with open(folder / "made.log", "a") as log:
        log.write(f"{place.name}\\n")
    (place / "first").write_text("1")
    if die:
        os.kill(os.getpid(), 9)
    time.sleep(0.3)
    (place / "second").write_text("2")
make_missing([Product(place=folder / name, make=make) for name in ("source", "target")])
assert (folder / "source" / "second").exists() and (folder / "target" / "second").exists()
"""


def maker(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(folder), *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def test_four_processes_make_each_product_once(tmp_path: Path) -> None:
    processes = [maker(tmp_path) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert sorted((tmp_path / "made.log").read_text().split()) == [".source.making", ".target.making"]


def test_a_killed_maker_leaves_nothing_that_looks_made(tmp_path: Path) -> None:
    assert maker(tmp_path, "die").wait(60) == -signal.SIGKILL
    assert not (tmp_path / "source").exists()
    assert maker(tmp_path).wait(60) == 0
    assert (tmp_path / "source" / "second").read_text() == "2"
    assert not (tmp_path / ".source.making").exists()


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")

    def refuse(_place: Path) -> None:
        raise AssertionError("made again")

    make_missing([Product(place=tmp_path / "there", make=refuse)])
    assert (tmp_path / "there").read_text() == "mine"
