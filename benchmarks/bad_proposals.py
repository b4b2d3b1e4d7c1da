"""Bad proposals of every kind, made by a seeded generator: each is to be refused, by the guardrails or the trainer.

Half of them are held against the shipped ACT-OT config, its pack and its trainer's class; the others against a small
vectorised trainer whose batch is derived and whose environments must divide among its workers.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auto_loop.domain.config import Config, FieldTypes, Json
from auto_loop.domain.guardrails import Guardrails
from auto_loop.domain.job import Job, JobId, JobState, Outcome
from auto_loop.domain.paths import get, leaves, matches, parse_path, render_path
from auto_loop.domain.proposal import Proposal
from auto_loop.proposers.base import Candidate
from auto_loop.rules.pack import parse, shipped_pack

BASELINE: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "train_configs/act_ot_baseline.json").read_text(encoding="utf-8")
)
ACT = shipped_pack("act_ot").guardrails
VEC = parse("""
[guardrails]
allow = ["vec.num_envs", "vec.num_workers", "env.*", "train.batch_size", "train.minibatch_size", "train.bptt_horizon",
         "layers.*.width"]
[guardrails.multiple_of]
"vec.num_envs" = "vec.num_workers"
[guardrails.derive]
"train.batch_size" = "env.num_envs * env.num_drones * vec.num_envs * train.bptt_horizon"
[guardrails.range]
"vec.num_envs" = { min = 1, max = 64 }
"env.num_envs" = { min = 1, max = 64 }
"train.bptt_horizon" = { min = 1, max = 64 }
"train.batch_size" = { min = 1, max = 100000 }
"layers.*.width" = { min = 8, max = 512 }
[guardrails.choice]
"env.kind" = ["pick", "drone"]
[[guardrails.relation]]
must = "vec.num_envs % vec.num_workers == 0"
reason = "{vec.num_envs} environments do not divide among {vec.num_workers} workers"
[[guardrails.relation]]
must = "train.batch_size % train.minibatch_size == 0"
reason = "a batch of {train.batch_size} is no multiple of {train.minibatch_size}"
""").guardrails
VEC_TREE: dict[str, Any] = {
    "seed": 1,
    "env": {"num_envs": 4, "num_drones": 2, "kind": "pick"},
    "vec": {"num_envs": 28, "num_workers": 14, "names": []},
    "train": {"bptt_horizon": 16, "batch_size": 3584, "minibatch_size": 3584, "lr": 1e-3},
    "layers": [{"width": 64}, {"width": 32}],
}
VEC_TYPES = FieldTypes(
    int_fields=frozenset({"env.num_envs", "env.num_drones", "vec.*", "train.batch_size", "layers.*.width"}),
    known=frozenset(render_path(path) for path, _ in leaves(VEC_TREE)),
)
SEED = parse_path("seed")
OUTSIDE = ("inbox", "person", "search")
ANYBODY = ("rules", *OUTSIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A bad proposal, what is wrong with it, and whose trainer it is for."""

    kind: str
    candidate: Candidate
    act: bool

    @property
    def rails(self) -> Guardrails:
        """The guardrails that it is held against."""
        return ACT if self.act else VEC


Change = tuple[dict[str, Json], tuple[str, ...]]
Maker = Callable[["Dice"], Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dice:
    """Chances, with the config and bounds that they are about."""

    random: random.Random
    tree: dict[str, Any]
    rails: Guardrails

    def of(self, *choices: Any) -> Any:
        """One of the choices."""
        return self.random.choice(choices)

    def path(self, *, allowed: bool) -> str:
        """A leaf that is on the allow-list, or off it."""
        found = [path for path, _ in leaves(self.tree) if self._is_allowed(path) == allowed and path != SEED]
        return render_path(self.random.choice(found))

    def _is_allowed(self, path: Any) -> bool:
        return any(matches(path, pattern) for pattern in self.rails.allow or ())

    def value(self, path: str) -> Json:
        """What stands there."""
        return get(self.tree, parse_path(path))

    def another(self, value: Json) -> Json:
        """Another value of the same kind."""
        match value:
            case bool():
                return not value
            case int() | float():
                return value * self.of(2, 3, 5) + 1
            case _:
                return f"{value}_{self.random.randrange(100)}"


def bad_proposals(count: int, seed: int) -> Iterator[Bad]:
    """`count` bad proposals, the same ones for the same seed, the kinds in turns."""
    chance = random.Random(seed)
    parents = {True: _job(BASELINE, 1), False: _job(VEC_TREE, 2)}
    both = [(kind, True, make) for kind, make in (*ANYWHERE.items(), *OF_ACT.items())]
    both += [(kind, False, make) for kind, make in (*ANYWHERE.items(), *OF_VEC.items())]
    for number in range(count):
        kind, act, make = both[number % len(both)]
        tree, rails = (BASELINE, ACT) if act else (VEC_TREE, VEC)
        changes, by = make(Dice(random=chance, tree=tree, rails=rails))
        proposal = Proposal(changes=changes, reason="fuzzed", proposer=chance.choice(by), rule=kind)
        yield Bad(kind=kind, candidate=Candidate(parent=parents[act], proposal=proposal), act=act)


def _job(tree: dict[str, Any], number: int) -> Job:
    return Job(
        id=JobId(number), study="s", loop=1, round=1, position=number, name=f"job{number}", cfg_file="job.json",
        config=Config.of(tree), output_dir="outputs/job", state=JobState.DONE, outcome=Outcome.SUCCEEDED,
    )  # fmt: skip


def _off_list(dice: Dice) -> Change:
    path = dice.path(allowed=False)
    old = dice.value(path)
    return {path: dice.of(old, dice.another(old))}, ANYBODY


def _out_of_range(dice: Dice) -> Change:
    bound = dice.random.choice([one for one in dice.rails.ranges if _is_there(dice, one.path)])
    low, high = bound.low if bound.low is not None else 0, bound.high if bound.high is not None else 10**6
    by = dice.of(1, 10, 12345)
    return {render_path(bound.path): dice.of(int(low) - by, int(high) + by)}, OUTSIDE


def _is_there(dice: Dice, pattern: Any) -> bool:
    return any(matches(path, pattern) for path, _ in leaves(dice.tree))


def _wrong_kind(dice: Dice) -> Change:
    path = dice.path(allowed=True)
    old = dice.value(path)
    wrong: list[Json] = [[old], {"a": 1}, {"a": {"b": [None]}}]
    wrong += ["many"] if not isinstance(old, str) and old is not None else []
    wrong += (
        [True] if isinstance(old, int | float | str) and not isinstance(old, bool) else [7, 0.5] if old is False else []
    )
    return ({path: dice.random.choice(wrong)} if old is not None else {path: {"a": [1]}}), ANYBODY


def _unknown(dice: Dice) -> Change:
    path = dice.path(allowed=True)
    typo = path[:-1] if len(path.split(".")[-1]) > 3 else f"{path}x"
    return {typo + dice.of("", "@mul", "@add", "@max"): 2}, ANYBODY


def _broken(dice: Dice) -> Change:
    path = dice.path(allowed=True)
    keys = (
        "", "@", "@mul", ".", f"{path}.", f".{path}", f"{path.replace('.', '..')}..", f"{path}.deeper.still",
        f"{path}@sett", f"{path}@mul@mul", f"{path}=3", f"{path} ", f"a b.{path}", f"[{path}]", f'["{path}',
        f"{path}*", "*.*.*.*.*.*.*", f"{path}.99", "\x00", "\ud800", f"{path}\n", "é" * 5, f"{'a.' * 300}a", f"{path}@",
    )  # fmt: skip
    return {dice.of(*keys): dice.of(1, 0.5, "x", True)}, ANYBODY


def _not_finite(dice: Dice) -> Change:
    path = dice.path(allowed=True)
    nan, inf = float("nan"), float("inf")
    return {
        f"{path}@{dice.of('set', 'mul', 'add', 'min', 'max')}": dice.of(nan, inf, -inf, [nan], {"a": [inf]})
    }, ANYBODY


def _huge(dice: Dice) -> Change:
    numbers = [
        path
        for path, value in leaves(dice.tree)
        if isinstance(value, int | float) and value and not isinstance(value, bool)
    ]
    allowed = [path for path in numbers if any(matches(path, one) for one in dice.rails.allow or ())]
    path = render_path(
        dice.random.choice([one for one in allowed if any(matches(one, b.path) for b in dice.rails.ranges)])
    )
    value = dice.of(10**400, -(10**400), 10**30, 10**308, 1e308, -1e300)
    return {f"{path}@{dice.of('set', 'mul', 'add')}": value}, OUTSIDE


def _deep(dice: Dice) -> Change:
    value: Json = 1
    for _ in range(dice.of(2, 30, 101, 500, 5000)):
        value = dice.of([value], {"a": value})
    return {dice.path(allowed=True) + dice.of("", "@set", "@append"): value}, ANYBODY


def _odd_keys(dice: Dice) -> Change:
    odd: Any = {dice.of(1, None, 2.5, True, ("a",)): 1}
    return {dice.path(allowed=True): dice.of(odd, [odd], {"a": odd})}, ANYBODY


def _odd_values(dice: Dice) -> Change:
    odd: Any = dice.of({1, 2}, b"bytes", object(), 1j, "\ud800", ["\udfff"], {"\ud812": 1}, range(3))
    return {dice.path(allowed=True): odd}, ANYBODY


def _nothing(dice: Dice) -> Change:
    path = dice.path(allowed=True)
    return dice.of({}, {path: dice.value(path)}, {f"{path}@set": dice.value(path)}), ANYBODY


def _arithmetic(dice: Dice) -> Change:
    words = [
        render_path(path) for path, value in leaves(dice.tree) if value is None or isinstance(value, bool | str | list)
    ]
    return {f"{dice.random.choice(words)}@{dice.of('mul', 'add', 'min', 'max')}": dice.of(2, -1, 0.5)}, ANYBODY


def _empty_stars(dice: Dice) -> Change:
    empty = (
        ("vec.names.*", "vec.names.*.x")
        if dice.tree is VEC_TREE
        else ("ot.topk_src_episodes.*", "ot.loss_config.features.*.dim_slice.*")
    )
    return {dice.of(*empty, "seed.*", "nowhere.*", f"{dice.path(allowed=True)}.*") + dice.of("", "@mul"): 2}, ANYBODY


def _choices(dice: Dice) -> Change:
    choice = dice.random.choice(dice.rails.choices)
    return {
        render_path(choice.path): dice.of("Mean", "", "chunks", "RAW", 1, 0, False, None, ["raw"], "drone ", "1.0")
    }, ANYBODY


def _no_seed(dice: Dice) -> Change:
    return {"seed" + dice.of("", "@set"): dice.of(-1, 1.5, None, "x", True, [3], {"a": 1}, dice.tree["seed"])}, ANYBODY


def _one_bad_of_many(dice: Dice) -> Change:
    """Sound changes beside a bad one: all or nothing."""
    good = {"ot.lambda_ot@mul": 1.5} if dice.tree is BASELINE else {"env.kind": "drone"}
    bad, by = dice.random.choice([_off_list, _out_of_range, _broken, _not_finite, _odd_keys])(dice)
    return dice.of({**good, **bad}, {**bad, **{key: value for key, value in good.items() if key not in bad}}), by


def _disabled(dice: Dice) -> Change:
    number = dice.random.randrange(len(BASELINE["ot"]["loss_config"]["features"]))
    at = f"ot.loss_config.features.{dice.of(number, '*')}"
    off = dice.of({f"{at}.weight_embed": 0.0}, {f"{at}.weight_embed@mul": 0}, {f"{at}.use_learned_embed": False})
    return dice.of(
        {f"{at}.term_weight": 0}, {f"{at}.term_weight@mul": 0}, {**off, f"{at}.weight_label@mul": 0}
    ), ANYBODY


def _relation_of_act(dice: Dice) -> Change:
    features = "ot.loss_config.features"
    removed: Mapping[str, Json] = {f"{features}@set": dice.of([], None)}
    return dice.of(dict(removed), {features: [], "ot.lambda_ot@mul": 2}), ANYBODY


def _never_null(dice: Dice) -> Change:
    path = dice.path(allowed=True)
    return {("ot.loss_config.reg" if path == "ot.topk_src_episodes" else path): None}, ANYBODY


def _for_the_trainer(dice: Dice) -> Change:
    """What only the trainer's own class knows to be wrong."""
    features = BASELINE["ot"]["loss_config"]["features"]
    first = dict(features[0])
    appended = dice.of(
        first,
        {**first, "term_name": "new", "src_key": "observation.nothing"},
        {**first, "term_name": "new", "dim_slice": dice.of([3, 1], [1], [-1, 2])},
        {**first, "term_name": "new", "nope": 1},
        {**first, "term_name": "new", "src_key": "action", "use_learned_embed": True},
    )
    return {"ot.loss_config.features@append": appended}, ANYBODY


def _rows(dice: Dice) -> Change:
    """Environments that do not divide among the workers, or of which nobody can say it."""
    return dice.of(
        {"vec.num_workers": dice.of(0, None, -3)},
        {"vec.num_envs": None},
        {"vec.num_workers": dice.of(60, 61, 63), "vec.num_envs": dice.of(64, 62)},
        {"vec@remove": "num_workers"},
    ), OUTSIDE


def _derived(dice: Dice) -> Change:
    """A batch that is another one than what it is derived from says, or that cannot be derived or divided any more."""
    return dice.of(
        {"train.batch_size": dice.random.randrange(1, 10**5)},
        {"train.batch_size@mul": dice.of(0.5, 2, 3)},
        {"env.num_drones": dice.of(None, "two", 10**6)},
        {"train@remove": "bptt_horizon"},
        {"train.bptt_horizon": 32, "train.minibatch_size": 7168, "train.batch_size": dice.of(3584, 7167, 14336)},
        {"env.num_envs": 64, "vec.num_envs": 56},
        {"train.minibatch_size": dice.of(3583, 1000, 0, None)},
    ), OUTSIDE


ANYWHERE: dict[str, Maker] = {
    "off the allow-list": _off_list,
    "out of range": _out_of_range,
    "another kind of value": _wrong_kind,
    "an unknown key": _unknown,
    "a broken path": _broken,
    "not finite": _not_finite,
    "a huge number": _huge,
    "nested deep": _deep,
    "keys that are no texts": _odd_keys,
    "nothing that JSON holds": _odd_values,
    "nothing changed": _nothing,
    "arithmetic on what is no number": _arithmetic,
    "a star that matches nothing": _empty_stars,
    "none of the choices": _choices,
    "no seed": _no_seed,
    "one bad among good": _one_bad_of_many,
}
OF_ACT: dict[str, Maker] = {
    "both disabled": _disabled,
    "a relation broken": _relation_of_act,
    "null where none may be": _never_null,
    "refused by the trainer alone": _for_the_trainer,
}
OF_VEC: dict[str, Maker] = {"a relation broken": _rows, "a derived value": _derived}
