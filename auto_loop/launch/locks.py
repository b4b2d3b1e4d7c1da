"""Lock files of all of the user's projects: one folder, one file a GPU or port, opened close-on-exec."""

import os
from pathlib import Path

from auto_loop.domain.errors import Fault, RefusedError

_FOLDER_ADVICE = "set AUTO_LOOP_LEASE_DIR to a folder of your own"


def open_lock(folder: Path, name: str) -> int:
    """A descriptor of the lock file `name`, not locked yet. RefusedError when folder or file cannot be used.

    OSError only for what is no fault of the folder's: no descriptor left, no room on the disk.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if owner != os.getuid():
            # In the common temporary folder anyone could make it first, and hold our locks for ever.
            raise RefusedError(_fault(folder, f"the folder of GPU and port locks belongs to user {owner}"))
        return os.open(folder / name, flags, 0o600)
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        where = Path(error.filename or folder)
        raise RefusedError(_fault(where, f"GPU and port locks cannot be kept there: {error.strerror}")) from error


def _fault(where: Path, what: str) -> Fault:
    return Fault(what=what, where=str(where), hint=_FOLDER_ADVICE)
