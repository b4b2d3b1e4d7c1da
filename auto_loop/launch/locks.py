"""Lock files of all of the user's projects: one folder, one file a GPU or port, opened close-on-exec."""

import errno
import os
from pathlib import Path

from auto_loop.domain.errors import Fault, RefusedError

# Not the folder's fault, and over when something else ends.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EINTR)


def open_lock(folder: Path, name: str) -> int:
    """A descriptor of the lock file `name`, not locked yet; the folder is made when it is missing.

    RefusedError when folder or file cannot be used; OSError for want of descriptors or of room.
    """
    try:
        owner = _owner(folder)
        if owner != os.getuid():
            # In the common temporary folder anyone could make it first, and hold our locks for ever.
            raise RefusedError(_fault(folder, f"the folder of GPU and port locks belongs to user {owner}"))
        return os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in _PASSING:
            raise
        where = Path(error.filename or folder)
        what = f"GPU and port locks cannot be kept there: {os.strerror(error.errno or 0)}"
        raise RefusedError(_fault(where, what)) from error


def _owner(folder: Path) -> int:
    try:
        return folder.stat().st_uid
    except FileNotFoundError:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.stat().st_uid


def _fault(where: Path, what: str) -> Fault:
    return Fault(what=what, where=str(where), hint="set AUTO_LOOP_LEASE_DIR to a folder of your own")
