"""The trainer's own words: a config and what we set in it, rendered in the way that its profile names."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import assert_never

from auto_loop.domain.config import Config, Json
from auto_loop.launch.profile import Profile, Style


def chosen_key(names: tuple[str, ...], data: Mapping[str, Json], known: frozenset[str] | None) -> str:
    """Which of a key's names this trainer has: by its class if it is known, else by the config, else the first."""
    for name in names:
        if (known is not None and name in known) or (known is None and has(data, name)):
            return name
    return names[0] if names else ""


def has(data: Mapping[str, Json], key: str) -> bool:
    """Whether the dotted key is in the config's mappings."""
    head, _, rest = key.partition(".")
    inner = data.get(head)
    return head in data and (not rest or (isinstance(inner, dict) and has(inner, rest)))


def merged(data: dict[str, Json], settings: Mapping[str, Json]) -> dict[str, Json]:
    """`data`, changed in place, with each dotted key set; mappings on the way are made."""
    for key, value in settings.items():
        *folders, last = key.split(".")
        place = data
        for folder in folders:
            inner = place.get(folder)
            if not isinstance(inner, dict):
                inner = place[folder] = {}
            place = inner
        place[last] = value
    return data


def without(data: dict[str, Json], keys: tuple[str, ...]) -> dict[str, Json]:
    """`data`, changed in place, without the dotted keys."""
    for key in keys:
        *folders, last = key.split(".")
        place: Json = data
        for folder in folders:
            place = place.get(folder) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(last, None)
    return data


def leaves(data: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """Dotted key and value of every leaf; a list is one leaf, an empty mapping none."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def trainer_words(
    profile: Profile, config: Config, settings: Mapping[str, Json], cfg_file: str, made_file: str
) -> tuple[tuple[str, ...], str]:
    """The trainer's words, and the text of `made_file` when the style wants a whole file (else empty)."""
    if profile.style is Style.DRACCUS:
        return (f"{profile.config_flag}={cfg_file}", *(f"--{key}={flat(value)}" for key, value in settings.items())), ""
    whole = merged(config.data(), settings)
    values = dict(leaves(whole))
    positional = tuple(flat(values[key]) for key in profile.positional if key in values)
    without(whole, (*profile.positional, *profile.not_passed))
    return _whole_words(profile, whole, positional, made_file)


def _whole_words(
    profile: Profile, whole: dict[str, Json], positional: tuple[str, ...], made_file: str
) -> tuple[tuple[str, ...], str]:
    match profile.style:
        case Style.FLAGS:
            return (*positional, *(f"--{key}={flat(value)}" for key, value in leaves(whole))), ""
        case Style.HYDRA:
            return (*positional, *(f"{key}={hydra(value)}" for key, value in leaves(whole))), ""
        case Style.JSON:
            return (*positional, f"{profile.config_flag}={made_file}"), json.dumps(whole, indent=2) + "\n"
        case Style.YAML:
            return (*positional, f"{profile.config_flag}={made_file}"), flow_yaml(whole) + "\n"
        case Style.DRACCUS:
            raise ValueError("a draccus trainer reads the config's own file")
        case _:
            assert_never(profile.style)


def flat(value: Json) -> str:
    """A value as a flag's text: strings bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def hydra(value: Json) -> str:
    """A value in Hydra's override grammar: plain words bare, other strings in single quotes, keys unquoted."""
    match value:
        case str():
            bare = re.fullmatch(r"[\w./-]+", value) and not _looks_typed(value)
            return value if bare else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        case list():
            return "[" + ",".join(hydra(item) for item in value) + "]"
        case dict():
            return "{" + ",".join(f"{key}:{hydra(item)}" for key, item in value.items()) + "}"
        case _:
            return json.dumps(value)


def _looks_typed(text: str) -> bool:
    return bool(re.fullmatch(r"(?i)null|true|false|nan|[+-]?inf|[+-]?[\d.][\d._]*(e[+-]?\d+)?", text))


def flow_yaml(value: Json) -> str:
    """YAML in flow style: JSON, but for floats such as 1e-05, which YAML 1.1 takes for text without a point."""
    match value:
        case dict():
            return "{" + ", ".join(f"{flow_yaml(key)}: {flow_yaml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(flow_yaml(item) for item in value) + "]"
        case str():
            # YAML does not join JSON's two halves of a character beyond 16 bits.
            return '"' + "".join(f"\\U{ord(c):08x}" if ord(c) > 0xFFFF else json.dumps(c)[1:-1] for c in value) + '"'
        case float():
            text = repr(value)
            return text.replace("e", ".0e") if "e" in text and "." not in text else text
        case _:
            return json.dumps(value)
