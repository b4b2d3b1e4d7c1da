"""Configs: what a trainer takes, as a frozen value with a fingerprint; and what is known of its fields."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from auto_loop.domain.paths import Json, Key, Path, children, leads_to, matching, parsed, render_path

__all__ = ["NO_TYPES", "Config", "FieldTypes", "Json", "with_ints"]


@dataclass(frozen=True, slots=True)
class Config:
    """A trainer's config as canonical JSON text (keys in the order they were given), frozen and hashable."""

    text: str

    @classmethod
    def of(cls, data: Mapping[str, Json]) -> Self:
        """The config that holds `data`."""
        return cls(json.dumps(data, ensure_ascii=False))

    def data(self) -> dict[str, Json]:
        """A fresh copy of the whole tree, the caller's own to change."""
        loaded: dict[str, Json] = json.loads(self.text)
        return loaded

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the tree with sorted keys: the same for every order of the keys."""
        canonical = json.dumps(self.data(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTypes:
    """What a trainer's class or profile says of its fields, by path pattern (`*` for any one segment).

    `int_fields` take only integers; `float_fields` take floats even where a config holds an integer; `required` are
    never null;
    `defaults` are the class's own values; `known` lists all leaf paths, or is None when the class is not known.
    """

    int_fields: frozenset[str] = frozenset()
    float_fields: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    defaults: Mapping[str, Json] = field(default_factory=dict)
    known: frozenset[str] | None = None

    def is_int(self, path: Path) -> bool:
        """Whether the field takes only integers."""
        return matching(path, self.int_fields) is not None

    def is_float(self, path: Path) -> bool:
        """Whether the field takes floats."""
        return matching(path, self.float_fields) is not None

    def takes_null(self, path: Path) -> bool:
        """Whether the field may be null; True where nothing is known."""
        return matching(path, self.required) is None

    def default(self, path: Path) -> Json:
        """The class's own value there, None when none is known."""
        pattern = matching(path, self.defaults)
        return None if pattern is None else self.defaults[pattern]

    def has(self, path: Path) -> bool:
        """Whether the class has the field, something below it, or a whole above it of which no parts are known.

        True when the class is not known.
        """
        if self.known is None:
            return True
        along = [pattern for pattern in map(parsed, self.known) if leads_to(path, pattern)]
        deepest = max(map(len, along), default=0)
        return deepest >= len(path) or any(self._is_closed(pattern) for pattern in along)

    def _is_closed(self, whole: Path) -> bool:
        """Whether nothing is known of what is inside `whole`: a free mapping, or a list of anything."""
        below = (pattern for pattern in map(parsed, self.known or ()) if len(pattern) > len(whole))
        return not any(leads_to(whole, pattern) for pattern in below)


NO_TYPES = FieldTypes()


def with_ints(config: Config, types: FieldTypes) -> tuple[Config, tuple[str, ...]]:
    """The config with integral floats made integers where the trainer takes integers, and one note that says so.

    JSON written by other tools has 20.0 for 20, and a typed trainer refuses the former.
    """
    changed: list[str] = []
    data = integral(config.data(), types, (), changed)
    if not changed or not isinstance(data, dict):
        return config, ()
    return Config.of(data), (f"read as integers: {', '.join(changed)}",)


def integral(value: Json, types: FieldTypes, place: Path, changed: list[str]) -> Json:
    """A copy of `value`, which lies at `place`, with integral floats in integer fields made integers.

    Every change is written to `changed`.
    """
    if isinstance(value, dict):
        return {name: integral(item, types, (*place, Key(name)), changed) for name, item in value.items()}
    if isinstance(value, list):
        return [integral(item, types, (*place, seg), changed) for seg, item in children(value)]
    if isinstance(value, float) and value.is_integer() and types.is_int(place):
        changed.append(f"{render_path(place)} {value} → {int(value)}")
        return int(value)
    return value
