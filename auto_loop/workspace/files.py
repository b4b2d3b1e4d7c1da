"""Files: written whole or not at all, and read with one clear line when they cannot be."""

import difflib
import errno
import os
import secrets
import stat
from pathlib import Path

from auto_loop.domain.errors import Fault, MisuseError


def write_aside(path: Path, content: str | bytes) -> None:
    """Puts `content` (text as UTF-8) at `path`, so that a reader sees the old file or the new one, whole.

    Written beside it, flushed to the disk, renamed, and the folder flushed; the folder is made if it is missing.
    When any of that fails (a full disk), the old file is as it was and nothing is left beside it; OSError goes up.
    A link is followed, and the mode of an old file is kept.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.parent / f".aside-{secrets.token_hex(8)}.tmp"
    try:
        _write_through(aside, data, _mode_of(target))
        os.replace(aside, target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def read_text(path: Path, what: str = "file") -> str:
    """The text of a UTF-8 file; a byte order mark is left out.

    Raises MisuseError, in which `what` says what the file was to be, when there is none, when it is a folder, when
    it may not be read, and when it is not UTF-8 (with the line).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MisuseError(Fault(what=f"there is no such {what}", where=str(path), hint=_near(path))) from None
    except IsADirectoryError:
        raise MisuseError(Fault(what=f"it is a folder, not a {what}", where=str(path))) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise MisuseError(Fault(what=f"the {what} cannot be read: {reason}", where=str(path))) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{data[error.start]:02x} on line {line}"
        fault = Fault(what=f"the {what} is not UTF-8 text: {found}", where=str(path), hint="save it as UTF-8")
        raise MisuseError(fault) from None


def tail_text(path: Path, max_bytes: int) -> str:
    """The last whole lines of a log, at most `max_bytes` of them; "" when there is no file.

    A single line longer than that is cut at its start. Bytes that are no UTF-8 become `�`.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - max_bytes)
            file.seek(max(0, start - 1))
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        return ""
    if start:
        cut = data.find(b"\n") + 1 if b"\n" in data[:-1] else _first_whole_character(data)
        data = data[cut:]
    return data[-max_bytes:].decode("utf-8", errors="replace") if max_bytes > 0 else ""


def _first_whole_character(data: bytes) -> int:
    """The offset after the byte that was read only to see whether a line ended there, and after a torn character."""
    cut = 1
    while cut < min(len(data), 5) and data[cut] & 0xC0 == 0x80:
        cut += 1
    return cut


def _write_through(path: Path, data: bytes, mode: int | None) -> None:
    """A new file with `data`, on the disk when this returns; nameless until then, so that a kill leaves nothing."""
    descriptor, nameless = _opened_new(path)
    with open(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
        if nameless:
            # Only with a `dir_fd` does Python follow the link that /proc is: an absolute path takes no notice of it.
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)


def _opened_new(path: Path) -> tuple[int, bool]:
    """A new file's descriptor, and whether it has no name yet, which some file systems cannot give."""
    try:
        return os.open(path.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666), True
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), False


def _mode_of(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _flush_folder(folder: Path) -> None:
    """Makes the rename durable. Some network file systems cannot flush a folder, and have nothing to flush."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _near(path: Path) -> str:
    """The names in the same folder that come close to the missing one."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError as error:
        return "its folder is not there either" if error.errno == errno.ENOENT else ""
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    return "did you mean " + " or ".join(close) + "?" if close else ""
