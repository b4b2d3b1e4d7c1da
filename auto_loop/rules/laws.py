"""Laws: what a pack expects of a changed config's metrics, computed from its parent's run.

In a law `next.PATH` is a value of the changed config and any other path one of the parent's. A config with a key of
its own called `next` loses nothing: the changed config's is `next.next`; only the parent's cannot be named in a law,
and everywhere else `next` is a key as any other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from auto_loop.domain.config import Config, Json
from auto_loop.domain.paths import Key, Path, children, matches, render_path
from auto_loop.rules.facts import Facts
from auto_loop.rules.functions import NEXT
from auto_loop.rules.model import Bound, Law, Pack

_NAMED = 6  # missing readings or changed places that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a law is asked of: both configs and the parent's readings, and the places in which the configs differ.

    `places` is None where the parent's config is not known.
    """

    facts: Facts
    places: tuple[Path, ...] | None


def predictions(pack: Pack, facts: Facts, config: Config, ignore: Iterable[Path] | None = None) -> dict[str, float]:
    """The metrics that the pack's laws foresee for `config`, what edits and guardrails made of the run's own.

    `facts` are the parent run's. `ignore` are the places in which a config may differ and is no other one, the pack's
    own unless given. A law that has nothing to say of the change says nothing. Of several for one metric the first
    that speaks counts; when it gives a bound, the tightest of all that give the same kind of bound.
    """
    change = _change(pack, facts, config, ignore)
    found: dict[str, tuple[float, Bound | None]] = {}
    for law in pack.laws:
        value, metric = _value(law, change), pack.canonical(law.metric)
        if value is None:
            continue
        first, kind = found.setdefault(metric, (value, law.bound))
        if law.bound is kind:
            found[metric] = (_tighter(kind, first, value), kind)
    return {metric: value for metric, (value, _) in found.items()}


def why_unforeseen(pack: Pack, facts: Facts, config: Config, metric: str) -> Iterator[str]:
    """What kept each law for the metric from speaking of `config`, or what it lacked."""
    change, about = _change(pack, facts, config), pack.canonical(metric)
    for number, law in enumerate((law for law in pack.laws if pack.canonical(law.metric) == about), start=1):
        which = f"law {number} for it{f', {law.name!r},' if law.name else ''}"
        parts = [one for one in (law.when, law.value) if one is not None]
        gaps = tuple(dict.fromkeys(gap for one in parts for gap in one.missing(change.facts)))
        if beyond := _beyond(law, change):
            yield f"{which} is silent: {_some(map(render_path, beyond))} changed, of which it does not speak"
        elif law.when is not None and law.when.evaluate(change.facts) is False:
            yield f"{which} is silent: {law.when.shortfall(change.facts).says}"
        elif gaps:
            yield f"{which} lacks {_some(gaps)}"


def differences(before: Json, after: Json, at: Path = ()) -> Iterator[Path]:
    """The places in which two configs differ: the deepest that both have, and those that only one has.

    2 and 2.0 do not differ, true and 1 do. Lists of other lengths differ as a whole: which item went is a guess.
    """
    match before, after:
        case dict(), dict():
            for name in (*before, *(name for name in after if name not in before)):
                place = (*at, Key(name))
                if name in before and name in after:
                    yield from differences(before[name], after[name], place)
                else:
                    yield place
        case list(), list() if len(before) == len(after):
            for (segment, old), (_, new) in zip(children(before), children(after), strict=True):
                yield from differences(old, new, (*at, segment))
        case _:
            if isinstance(before, bool) is not isinstance(after, bool) or before != after:
                yield at


def _change(pack: Pack, facts: Facts, config: Config, ignore: Iterable[Path] | None = None) -> _Change:
    both = replace(facts, config={**(facts.config or {}), NEXT: config.data()})
    if facts.config is None:
        return _Change(facts=both, places=None)
    aside = tuple(pack.guardrails.ignore if ignore is None else ignore)
    places = differences(dict(facts.config), config.data())
    return _Change(facts=both, places=tuple(place for place in places if not _is_within(place, aside)))


def _value(law: Law, change: _Change) -> float | None:
    if law.only is not None and (change.places is None or _beyond(law, change)):
        return None
    if law.when is not None and not law.when.holds(change.facts):
        return None
    return law.value.number(change.facts)


def _beyond(law: Law, change: _Change) -> tuple[Path, ...]:
    """The changed places that the law does not speak of."""
    if law.only is None:
        return ()
    return tuple(place for place in change.places or () if not _is_within(place, law.only))


def _is_within(place: Path, patterns: tuple[Path, ...]) -> bool:
    """Whether the place is, or is below, one that the patterns stand for."""
    return any(matches(place[: len(pattern)], pattern) for pattern in patterns)


def _tighter(kind: Bound | None, first: float, value: float) -> float:
    match kind:
        case Bound.LOWER:
            return max(first, value)
        case Bound.UPPER:
            return min(first, value)
        case None:
            return first


def _some(names: Iterable[str]) -> str:
    every = tuple(names)
    return f"{', '.join(every[:_NAMED])}{' and more' if len(every) > _NAMED else ''}"
