"""Masking: text that may be shown, with keys, tokens and passwords replaced by `***`.

Logs, commands and environments end up in reports that people pass on. What looks like a secret by its shape is
masked, and so is every value that the caller knows to be one. Too much masked costs a glance; too little, a key.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

MASK = "***"
# Tells a process of ours the words that its command line masks: {position: word} as JSON.
MASKED_WORDS = "AUTO_LOOP_MASKED_WORDS"

_NAMES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
_SHORTEST_KNOWN = 6  # a known "secret" of fewer characters would blank ordinary words

# A flag whose value is a secret by its name: `--hub.token=...`, `--api-key ...`.
_SECRET_FLAG = re.compile(
    r"(?P<flag>-?-?(?:[\w-]+\.)*(?:[\w-]+[_-])?(?:(?:api|access|secret|private|auth)[_-]?key|token|secret|passw(?:or)?d))"
    r"(?:=(?P<value>.+))?",
    re.IGNORECASE | re.DOTALL,
)

# Each pattern keeps its group `keep` (if it has one) and masks the rest. None begins with a repetition, so that a
# line of any length costs its length and not its square.
_SHAPES = tuple(
    re.compile(pattern)
    for pattern in (
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
)


def secrets_of(env: Mapping[str, str]) -> tuple[str, ...]:
    """The values that an environment names as secrets: its keys, tokens and passwords."""
    return tuple(value for name, value in env.items() if name.endswith(_NAMES) and value)


def masked(text: str, known: Iterable[str] = ()) -> str:
    """`text` with every secret replaced by `***`: the `known` values first, then whatever has a secret's shape.

    A known value shorter than six characters is left alone. Masking twice changes nothing more.
    """
    for value in sorted({value for value in known if len(value) >= _SHORTEST_KNOWN}, key=len, reverse=True):
        text = text.replace(value, MASK)
    for shape in _SHAPES:
        text = shape.sub(_keep, text)
    return text


def masked_words(words: Iterable[str], known: Iterable[str] = ()) -> tuple[str, ...]:
    """A command's words, each masked by itself; a flag's value too where the flag's name says that it is a secret."""
    known, shown = tuple(known), list[str]()
    for word, value in _with_secrets(words):
        shown.append(f"{word[: len(word) - len(value)]}{MASK}" if value else masked(word, known))
    return tuple(shown)


def secrets_in(words: Iterable[str]) -> tuple[str, ...]:
    """The values of those flags in a command whose names say that they are secrets."""
    return tuple(value for _, value in _with_secrets(words) if value)


def _with_secrets(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each word, with the secret that it ends in or is; "" for none."""
    flagged = False
    for word in words:
        found = _SECRET_FLAG.fullmatch(word)
        if flagged and not word.startswith("--"):
            yield word, word
        else:
            yield word, (found["value"] or "") if found else ""
        flagged = found is not None and found["value"] is None and word.startswith("-")


def _keep(match: re.Match[str]) -> str:
    return match.groupdict().get("keep", "") + MASK
