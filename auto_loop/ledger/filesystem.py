"""On which kind of file system a file lies: WAL needs memory that all its users share, and a network has none."""

import re
from pathlib import Path, PurePosixPath

NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"orangefs", "panfs", "smb3", "smbfs", "virtiofs"}
)
LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.ntfs-3g", "fuse.lxcfs"})


def filesystem_of(file: PurePosixPath, mountinfo: str) -> str:
    """The type of the file system that holds the absolute `file`, by the text of /proc/self/mountinfo.

    The longest mount point above the file wins, and of equal ones the last, which lies over the others.
    Empty when nothing is known.
    """
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = PurePosixPath(_unescape(fields[4]))
        if file.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split(" ")[0]
    return kind


def is_network(kind: str) -> bool:
    """Whether a file system of this type may be shared by several machines; unknown kinds of FUSE count as such."""
    return kind in NETWORK or (kind.startswith("fuse.") and kind not in LOCAL_FUSE)


def network_kind(file: Path) -> str:
    """The type of the network file system under `file`, or nothing when it is local or not known."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    kind = filesystem_of(PurePosixPath(file.resolve()), mountinfo)
    return kind if is_network(kind) else ""


def _unescape(text: str) -> str:
    """A mount point with the kernel's octal escapes (`\\040` is a space) undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
