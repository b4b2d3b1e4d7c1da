"""Files are written whole or not at all, and read with a clear line when they cannot be."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from auto_loop.domain.errors import MisuseError
from auto_loop.workspace.files import read_text, tail_text, write_aside

ROOT = Path(__file__).parents[2]

# The limit on a file's size stands in for a full disk: the write fails part of the way in both.
FULL_DISK = """
import resource, sys
from pathlib import Path
from auto_loop.workspace.files import write_aside
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_aside(Path(sys.argv[1]), "x" * 100_000)
except OSError as error:
    sys.exit(7)
"""


def test_a_file_and_its_folder_are_made_and_the_mode_is_the_usual_one(tmp_path):
    path = tmp_path / "a" / "b" / "report.md"
    write_aside(path, "größe\n")
    assert path.read_bytes() == "größe\n".encode()
    other = tmp_path / "plain"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode
    assert [entry.name for entry in path.parent.iterdir()] == ["report.md"]


def test_an_old_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_aside(link, b"new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], cwd=ROOT, check=False)
    assert done.returncode == 7
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["summary.json"]


def test_a_rename_that_fails_leaves_nothing_beside(tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_aside(tmp_path / "target", "text")
    assert os.listdir(tmp_path) == ["target"]


def test_text_is_read_without_its_byte_order_mark(tmp_path):
    path = tmp_path / "pack.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 1\n")
    assert read_text(path) == "name = 1\n"


def test_what_cannot_be_read_is_a_misuse_that_says_why(tmp_path):
    (tmp_path / "act_ot_baseline.json").write_bytes(b'{\n "a": "\xe9"\n}')
    cases = {
        "act_ot_baselin.json": ["no such pack file", "act_ot_baseline.json"],
        "nowhere/act.json": ["no such pack file", "folder is not there"],
        ".": ["is a folder"],
        "act_ot_baseline.json": ["not UTF-8", "0xe9", "line 2"],
        "act_ot_baseline.json/x": ["cannot be read"],
    }
    for name, words in cases.items():
        with pytest.raises(MisuseError) as caught:
            read_text(tmp_path / name, "pack file")
        assert all(word in str(caught.value) for word in words), (name, str(caught.value))


@pytest.mark.parametrize(
    ("content", "limit", "tail"),
    [
        (b"one\ntwo\nthree\n", 100, "one\ntwo\nthree\n"),
        (b"one\ntwo\nthree\n", 14, "one\ntwo\nthree\n"),
        (b"one\ntwo\nthree\n", 10, "two\nthree\n"),
        (b"one\ntwo\nthree\n", 9, "three\n"),
        (b"one\ntwo\nthree", 5, "three"),
        (b"one long line", 4, "line"),
        ("aé".encode(), 1, ""),
        (b"bad \xff byte\n", 100, "bad � byte\n"),
        (b"", 10, ""),
        (b"text\n", 0, ""),
    ],
)
def test_the_tail_is_the_last_whole_lines(tmp_path, content, limit, tail):
    path = tmp_path / "slot0_act.log"
    path.write_bytes(content)
    assert tail_text(path, limit) == tail


def test_the_tail_of_no_file_is_empty(tmp_path):
    assert tail_text(tmp_path / "none.log", 100) == ""
