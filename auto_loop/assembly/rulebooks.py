"""What decisions are made by beside the runs, as plain JSON that the ledger keeps, and back again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as File

from auto_loop.assembly.prepare import Prepared
from auto_loop.domain.config import FieldTypes, Json
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.paths import Path, parse_path, render_path
from auto_loop.ledger.decisions import DecisionReading
from auto_loop.rules import pack as packs
from auto_loop.rules.model import Pack
from auto_loop.workspace.files import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A rulebook read again: the pack, its guardrails with what the profile ignores, the field types and the seed's
    place (None: the trainer has none)."""

    pack: Pack
    guardrails: Guardrails
    types: FieldTypes
    seed: Path | None


def rulebook(prepared: Prepared, root: File) -> dict[str, Json]:
    """All that the call's decisions depend on: the texts of the pack and of those it extends, the config's places."""
    name, texts = _texts(prepared.pack.name, root)
    types = prepared.fields.types
    return {
        "pack": name,
        "texts": dict(texts),
        "ignore": [render_path(path) for path in prepared.guardrails.ignore],
        "int_fields": [*sorted(types.int_fields)],
        "float_fields": [*sorted(types.float_fields)],
        "required": [*sorted(types.required)],
        "defaults": dict(types.defaults),
        "known": None if types.known is None else [*sorted(types.known)],
        "seed": "" if prepared.seed is None else render_path(prepared.seed),
    }


def changed_rules(decisions: DecisionReading, study: str, loop: int, now: Mapping[str, Json]) -> str:
    """What people are told of a loop that goes on with other rules than its last decision was made by; else ""."""
    kept = [one.rulebook for one in decisions.of_study(study) if one.loop == loop and one.rulebook]
    before = decisions.rulebook(kept[-1]) if kept and now else now
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if not changed:
        return ""
    told = ", ".join(f"the pack's {name}" if name == "texts" else name.replace("_", " ") for name in changed)
    return f"the rules are not those of this loop's last decision any more ({told}): from here on the new ones count"


def rules_of(kept: Mapping[str, Json]) -> Rules:
    """The rules that a kept rulebook holds. MisuseError when this program cannot read its pack any more."""
    texts = {name: str(text) for name, text in _mapping(kept.get("texts")).items()}
    name = str(kept.get("pack", ""))
    pack = packs.parse(texts.get(name, ""), texts.__getitem__, name=name)
    known = kept.get("known")
    return Rules(
        pack=pack,
        guardrails=replace(pack.guardrails, ignore=tuple(map(parse_path, _texts_of(kept.get("ignore"))))),
        types=FieldTypes(
            int_fields=frozenset(_texts_of(kept.get("int_fields"))),
            float_fields=frozenset(_texts_of(kept.get("float_fields"))),
            required=frozenset(_texts_of(kept.get("required"))),
            defaults=_mapping(kept.get("defaults")),
            known=None if known is None else frozenset(_texts_of(known)),
        ),
        seed=parse_path(str(kept["seed"])) if kept.get("seed") else None,
    )


def _texts(name: str, root: File) -> tuple[str, dict[str, str]]:
    """The pack's own name, and the texts of it and of every pack that it extends."""
    found: dict[str, str] = {}

    def load(one: str) -> str:
        found[one] = packs.shipped_text(one)
        return found[one]

    own = packs.shipped_text(name) if name in packs.shipped_names() else read_text(root / name, "pack")
    stem = File(name).stem
    packs.parse(own, load, name=stem)
    return stem, {**found, stem: own}


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _texts_of(value: Json) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
