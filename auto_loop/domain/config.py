"""Configs: what a trainer takes, as a frozen value with a fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


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
