"""What makes two launches the same experiment, whatever they are called and wherever they write."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from auto_loop.domain.config import Config, Json
from auto_loop.domain.errors import MisuseError
from auto_loop.domain.paths import BrokenPathError, Key, Path, children, get, matches, parsed

# One argument that sets one value: `--a.b=v`, or Hydra's `a.b=v`; `+a.b=v` adds one there.
_SETTING = re.compile(r"(?:--|\+{1,2})?(?P<path>[^\s=-][^\s=]*)=(?P<value>.*)", re.DOTALL)
_FLAG = re.compile(r"--(?P<path>[^\s=]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What a job is launched with beside its config: how many steps, the person's own arguments, and from where.

    `extra` as the ledger keeps them, secrets masked. `warm_from` names the job whose checkpoint it starts from. How
    often it logs and evaluates makes no other experiment. With nothing in it: as the loop launches all its jobs.
    """

    steps: int = 0
    extra: tuple[str, ...] = ()
    warm_from: str = ""

    @classmethod
    def of_flags(cls, flags: Mapping[str, Json], warm_from: str = "") -> Self:
        """From the stored flags of a loop; a flag that it does not have counts as not given."""
        steps, extra = flags.get("steps"), flags.get("extra")
        return cls(
            steps=steps if isinstance(steps, int) else 0,
            extra=tuple(map(str, extra)) if isinstance(extra, list) else (),
            warm_from=warm_from,
        )

    def seen_from(self, loop: Self, ignore: tuple[Path, ...]) -> Self:
        """As a loop that launches like `loop` sees it: a loop need not say what all its own jobs have in common."""
        same = self.steps == loop.steps and _kept(self.extra, ignore) == _kept(loop.extra, ignore)
        return replace(self, steps=0, extra=()) if same else self


def launched_fingerprint(config: Config, ignore: tuple[Path, ...], launched: Launched) -> str:
    """The fingerprint of a config together with how it is launched; `fingerprint_of` the config for a plain launch.

    A value that an argument sets is the argument's, whatever the config says of it. An argument that sets what `ignore`
    names (an output folder, the seed, W&B) does not count.
    """
    plain = fingerprint_of(config, (*ignore, *places_told(launched.extra)))
    extra: list[Json] = [list(words) for words in _kept(launched.extra, ignore)]
    beside: dict[str, Json] = {"steps": launched.steps, "extra": extra, "warm_from": launched.warm_from}
    if not any(beside.values()):
        return plain
    return Config.of({"config": plain, **{name: value for name, value in beside.items() if value}}).fingerprint


def places_told(extra: tuple[str, ...]) -> tuple[Path, ...]:
    """The places that arguments set, so that what a config says there does not count."""
    return tuple(path for path, _ in _settings(extra) if path)


def under_seed(fingerprint: str, config: Config, seed: Path) -> str:
    """The fingerprint of an experiment under the seed that the config has: what tells one repeat from another."""
    try:
        value = get(config.data(), seed)
    except BrokenPathError:
        value = None
    return f"{fingerprint}@{json.dumps(value)}"


@lru_cache(maxsize=256)
def fingerprint_of(config: Config, ignore: tuple[Path, ...]) -> str:
    """The config's fingerprint without the places in `ignore` and what is below them; 2 and 2.0 are one number."""
    kept = _without(config.data(), ignore)
    return Config.of(kept if isinstance(kept, dict) else {}).fingerprint


def _settings(words: tuple[str, ...]) -> list[tuple[Path, tuple[str, ...]]]:
    """The arguments, each with the place that it sets, () where it sets none that we can read; `--a.b v` is one."""
    found: list[tuple[Path, tuple[str, ...]]] = []
    at = 0
    while at < len(words):
        whole, flag = _SETTING.fullmatch(words[at]), _FLAG.fullmatch(words[at])
        has_value = flag is not None and at + 1 < len(words) and not words[at + 1].startswith("--")
        count = 2 if has_value else 1
        named = whole or flag
        found.append((_place(named["path"]) if named else (), words[at : at + count]))
        at += count
    return found


def _kept(words: tuple[str, ...], ignore: tuple[Path, ...]) -> list[tuple[str, ...]]:
    """The arguments that make another experiment, in their order: of two for one place the last one wins."""
    return [kept for path, kept in _settings(words) if not any(_is_within(path, place) for place in ignore)]


def _place(text: str) -> Path:
    try:
        return parsed(text)
    except MisuseError:
        return ()


def _is_within(place: Path, whole: Path) -> bool:
    return len(whole) <= len(place) and matches(place[: len(whole)], whole)


def _without(node: Json, ignore: tuple[Path, ...]) -> Json:
    if isinstance(node, dict | list):
        below: list[tuple[str, Json]] = []
        for segment, item in children(node):
            rest = tuple(path[1:] for path in ignore if matches((segment,), path[:1]))
            if () not in rest:
                below.append((segment.name if isinstance(segment, Key) else "", _without(item, rest)))
        return dict(below) if isinstance(node, dict) else [item for _, item in below]
    return _plain(node)


def _plain(value: Json) -> Json:
    return int(value) if isinstance(value, float) and value.is_integer() else value
