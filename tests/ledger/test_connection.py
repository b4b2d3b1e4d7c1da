"""What is said when the file, the disk or another process is in the way; and where a ledger may lie."""

import sqlite3
from pathlib import Path, PurePosixPath

import pytest

from auto_loop.domain.errors import AutoLoopError, DiskFullError, RefusedError
from auto_loop.ledger import connection
from auto_loop.ledger.filesystem import filesystem_of, is_network
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.queries import migration_texts
from auto_loop.ledger.reading import Reading
from auto_loop.ledger.requests import Requests
from tests.ledger.make import LOOP, STUDY, event, new_job, open_ledger, open_study


def pragma(ledger: Ledger, name: str) -> object:
    return ledger.reading._db._raw.execute(f"PRAGMA {name}").fetchone()[0]


def test_commits_are_durable_and_keys_are_held(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "new" / "folder" / "ledger.sqlite3")
    assert (pragma(ledger, "journal_mode"), pragma(ledger, "synchronous")) == ("wal", 2)
    assert (pragma(ledger, "foreign_keys"), pragma(ledger, "busy_timeout")) == (1, 30_000)
    assert ledger.note == ""


def test_on_a_network_file_system_a_rollback_journal_is_used_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ledger.sqlite3"
    open_study(file).close()
    monkeypatch.setattr(connection, "network_kind", lambda file: "nfs4")
    ledger = open_ledger(file)
    assert (pragma(ledger, "journal_mode"), pragma(ledger, "synchronous")) == ("delete", 3)
    assert "network file system (nfs4)" in ledger.note
    ledger.add_job(new_job("a"))
    assert len(ledger.reading.history(STUDY).jobs) == 1


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 0:27 / /home/me/local\\040disk rw,relatime - xfs /dev/sdb rw
32 22 0:28 / /mnt/far rw - fuse.sshfs me@host: rw
33 22 0:29 / /srv rw - ext4 /dev/sdc rw
34 22 0:30 / /data rw master:3 propagate_from:2 - lustre mds:/data rw
torn line
"""


@pytest.mark.parametrize(
    ("file", "kind", "network"),
    [
        ("/srv/ledger.sqlite3", "ext4", False),
        ("/home/me/ledger.sqlite3", "nfs4", True),
        ("/homes/ledger.sqlite3", "ext4", False),
        ("/home/me/local disk/ledger.sqlite3", "xfs", False),
        ("/mnt/far/a/ledger.sqlite3", "fuse.sshfs", True),
        ("/data/ledger.sqlite3", "lustre", True),
    ],
)
def test_the_file_system_is_the_one_mounted_closest_above(file: str, kind: str, network: bool) -> None:
    assert filesystem_of(PurePosixPath(file), MOUNTS) == kind
    assert is_network(kind) is network


def test_without_a_mount_table_nothing_is_claimed() -> None:
    assert filesystem_of(PurePosixPath("/a"), "") == ""
    assert not is_network("")
    assert not is_network("fuseblk")


@pytest.mark.parametrize("opened", [lambda file: Ledger.open(file, float), Reading.open])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, opened: object) -> None:
    file = tmp_path / "ledger.sqlite3"
    file.write_text("dear diary, " * 500)
    with pytest.raises(RefusedError, match=r"ledger\.sqlite3: this is no ledger.*--ledger"):
        opened(file)  # type: ignore[operator] # both are callables of one file
    assert file.read_text() == "dear diary, " * 500


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite3"
    raw = sqlite3.connect(file)
    raw.execute("CREATE TABLE trials (a)")
    raw.commit()
    raw.close()
    with pytest.raises(RefusedError, match="a SQLite database, but no ledger"):
        open_ledger(file)
    tables = sqlite3.connect(file).execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("trials",)]


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    with open_study(file) as ledger:
        ledger.reading._db._raw.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'")
    known = max(migration_texts())
    with pytest.raises(RefusedError, match=rf"newer auto_loop \(schema 99; this one knows up to {known}\).*upgrade"):
        open_ledger(file)
    with pytest.raises(RefusedError, match="newer auto_loop"):
        Reading.open(file)


def test_a_damaged_ledger_is_refused_by_name_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite3"
    with open_study(file) as ledger:
        for number in range(50):
            ledger.add_job(new_job(f"job{number}"))
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(RefusedError, match=r"ledger\.sqlite3: the ledger is damaged.*nothing was deleted"):
        open_ledger(file).reading.history(STUDY)
    assert file.read_bytes() == content


def test_a_reader_or_view_makes_no_ledger(tmp_path: Path) -> None:
    for opened in (Reading.open, lambda file: Requests.connect(file, float)):
        with pytest.raises(RefusedError, match="there is no ledger"):
            opened(tmp_path / "none.sqlite3")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_or_is_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with pytest.raises(RefusedError, match="its folder cannot be made"):
        open_ledger(tmp_path / "plain" / "ledger.sqlite3")
    with pytest.raises(RefusedError, match="cannot be opened"):
        open_ledger(tmp_path)


def test_an_odd_file_name_is_only_a_name(tmp_path: Path) -> None:
    file = tmp_path / "a?b#c%20d é.sqlite3"
    open_study(file).close()
    assert file.is_file()
    assert Reading.open(file).study(STUDY) is not None


def test_a_full_disk_is_said_and_the_transaction_undone_whole(tmp_path: Path) -> None:
    ledger = open_study(tmp_path / "ledger.sqlite3")
    ledger.record_event(event("the one before"))
    raw = ledger.reading._db._raw
    pages = pragma(ledger, "page_count")
    raw.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        with ledger.transaction():
            for number in range(500):
                ledger.add_job(new_job(f"job{number}"))

    with pytest.raises(DiskFullError, match="the disk is full: the last change was not written"):
        fill()
    assert ledger.reading.history(STUDY).jobs == ()
    assert [each.kind for _, each in ledger.reading.events(LOOP)] == ["the one before"]
    raw.execute("PRAGMA max_page_count = 100000")
    fill()
    assert ledger.reading.snapshot(STUDY, LOOP, 1).queued == 500


def test_a_ledger_held_for_too_long_is_said(tmp_path: Path) -> None:
    first, second = open_study(tmp_path / "ledger.sqlite3"), open_ledger(tmp_path / "ledger.sqlite3")
    second.reading._db._raw.execute("PRAGMA busy_timeout = 1")
    with first.transaction(), pytest.raises(AutoLoopError, match="another process has held the ledger"):
        second.record_event(event("late"))
    second.record_event(event("in time"))
    assert [each.kind for _, each in first.reading.events(LOOP)] == ["in time"]


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(RefusedError, match=r"needs 3\.37\.0 or newer"):
        open_ledger(tmp_path / "ledger.sqlite3")
