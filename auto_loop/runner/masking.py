"""Masks keys, tokens and passwords in what the runner writes: an exception's message often quotes what was passed.

The house masks by the same names and shapes (`domain/secrets.py`), which cannot be imported here; a test holds the two
to each other.
"""

from __future__ import annotations

import os
import re

MASK = "***"
NAMES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
SHORTEST_KNOWN = 6
SHAPES = (
    r"(?P<keep>://)[^\s/@:\"']*:[^\s/@\"']+(?=@)",  # scheme://user:password@host
    r"(?P<keep>\b(?:Bearer|Basic)\s+)(?!\*\*\*)[A-Za-z0-9._~+/=-]{8,}",
    r"(?P<keep>(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)[\"']?=[\"']?)[^\s\"',;)}\]]+",
    r"(?P<keep>(?:API_KEY|ACCESS_KEY|SECRET_KEY|TOKEN|SECRET|PASSWORD)[\"']?:\s*[\"']?)[^\s\"',;)}\]]+",
    r"(?i:(?P<keep>(?:api[_-]?key|access[_-]?key|secret[_-]?key|auth[_-]?token|access[_-]?token|password|passwd)"
    r"[\"']?\s*[=:]\s*[\"']?))[^\s\"',;)}\]]+",
    r"(?i:(?P<keep>--[\w.-]{0,80}?(?:token|secret)=))[^\s\"',;)}\]]+",
    r"(?<![0-9A-Za-z])[0-9a-fA-F]{40}(?![0-9A-Za-z])",  # a W&B key (a SHA-1 looks the same and is masked too)
    r"\bwandb_v1_[A-Za-z0-9_-]{20,}",
    # A new line may stand as `\n` where text is quoted.
    r"(?:(?<=\\[nrt])|\b)(?:hf|ghp|gho|ghs|ghu|ghr)_[A-Za-z0-9]{16,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # a JSON web token
)


def masked(text: str) -> str:
    """`text` without the values that this process's environment names as secrets, nor what has a secret's shape."""
    known = {value for name, value in os.environ.items() if name.endswith(NAMES) and len(value) >= SHORTEST_KNOWN}
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, MASK)
    for shape in SHAPES:
        text = re.sub(shape, keep, text)
    return text


def keep(match: re.Match[str]) -> str:
    """What names the secret stays, the secret goes."""
    return match.groupdict().get("keep", "") + MASK
