"""What makes two configs the same experiment, whatever they are called and wherever they write."""

from functools import lru_cache

from auto_loop.domain.config import Config, Json
from auto_loop.domain.paths import Key, Path, children, matches


@lru_cache(maxsize=256)
def fingerprint_of(config: Config, ignore: tuple[Path, ...]) -> str:
    """The config's fingerprint without the places in `ignore` and what is below them; 2 and 2.0 are one number."""
    kept = _without(config.data(), ignore)
    return Config.of(kept if isinstance(kept, dict) else {}).fingerprint


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
