"""How far one config is from another, to find the old run that is most like what a rule proposes."""

import json
import math
from collections.abc import Iterable, Mapping

from auto_loop.domain.config import Config, Json
from auto_loop.domain.paths import Path, leads_to, leaves, render_path
from auto_loop.rules.evaluate import as_number

Tree = Mapping[Path, Json]

# What has no ratio (a text, a zero, a key that the other lacks) is as far off as a factor of ten.
NO_RATIO = math.log(10)


def tree_of(config: Config, ignore: Iterable[Path]) -> Tree:
    """The config's leaves by their paths, without those that make no other experiment of it."""
    patterns = tuple(ignore)
    return {
        path: value
        for path, value in leaves(config.data())
        if not any(len(pattern) <= len(path) and leads_to(path, pattern) for pattern in patterns)
    }


def distance(a: Tree, b: Tree, enough: float = math.inf) -> float:
    """The sum over all places of |ln| of the ratio of two numbers of one sign, `NO_RATIO` for any other difference.

    Relative, because a config's numbers have units of their own. What reaches `enough` is not summed any further.
    """
    total = 0.0
    for path in a.keys() | b.keys():
        total += _apart(a, b, path)
        if total >= enough:
            return math.inf
    return total


def differing(a: Tree, b: Tree) -> tuple[str, ...]:
    """The places where the two differ, with both values."""
    return tuple(
        f"{render_path(path)} {_shown(a, path)} → {_shown(b, path)}"
        for path in sorted(a.keys() | b.keys(), key=render_path)
        if _apart(a, b, path)
    )


def _apart(a: Tree, b: Tree, path: Path) -> float:
    if path not in a or path not in b:
        return NO_RATIO
    one, two = a[path], b[path]
    if type(one) is type(two) and one == two:
        return 0.0
    left, right = as_number(one), as_number(two)
    if left is None or right is None or not left or not right or (left > 0) != (right > 0):
        return 0.0 if left == right == 0 else NO_RATIO
    return abs(math.log(abs(left)) - math.log(abs(right)))


def _shown(tree: Tree, path: Path) -> str:
    return json.dumps(tree[path]) if path in tree else "not there"
