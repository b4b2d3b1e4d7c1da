"""The space of random search and of TPE, and who draws from it.

The knobs are those that the act_ot pack's rules turn most; the ranges are those of its guardrails, but for the two
marked below, which are narrower, in favour of the searches.
"""

import json
import math
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

Values = Mapping[str, float | str]
DRIVER = Path(__file__).resolve().parent / "optuna_tpe.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One dimension: a number from `low` to `high` (evenly in its logarithm with `log`), or one of `choices`."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def draw(self, rng: np.random.Generator) -> float | str:
        """One value, each as likely as the other."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.log:
            return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return float(rng.uniform(self.low, self.high))


SPACE: Mapping[str, Knob] = {
    "policy.optimizer_lr": Knob(low=5e-5, high=5e-3, log=True),  # guardrails: 1e-6 to 1e-2, most of it hopeless
    "ot.lambda_ot": Knob(low=0.001, high=2.0, log=True),
    "ot.bc_src_weight": Knob(low=0.3, high=0.99),
    "ot.loss_config.reg": Knob(low=0.02, high=2.0, log=True),
    "ot.loss_config.tau_src": Knob(low=0.1, high=20.0, log=True),
    "ot.loss_config.tau_tgt": Knob(low=0.1, high=20.0, log=True),
    "ot.loss_config.cost_scale": Knob(choices=("raw", "mean")),
    "label": Knob(low=5e-4, high=5.0, log=True),  # of all label weights; guardrails: 0 to 1, which is 0 to 5 × 0.2
    "embed": Knob(low=0.01, high=100.0, log=True),  # of all embedding weights; guardrails: 0 to 10, 0 to 100 × 0.1
}
_WEIGHTS = {"label": "weight_label", "embed": "weight_embed"}


def values_of(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Where a config stands in the space: the factors of its own weights are 1."""
    return {name: 1.0 if name in _WEIGHTS else _place(config, name)[1] for name in SPACE}


def applied(config: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """The config with these values; the given one is left as it is."""
    made = deepcopy(dict(config))
    for name, value in values.items():
        if weight := _WEIGHTS.get(name):
            for feature in made["ot"]["loss_config"]["features"]:
                feature[weight] *= value
        else:
            parent, _ = _place(made, name)
            parent[name.rpartition(".")[2]] = value
    return made


def _place(config: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    *above, last = name.split(".")
    parent: Any = config
    for key in above:
        parent = parent[key]
    return parent, parent[last]


class Sampler(Protocol):
    """Asks for the next values and is told what came of them; `value` None when the job failed."""

    def ask(self) -> tuple[int, Values]:
        """A number for the answer, and the values to try."""

    def tell(self, number: int, value: float | None) -> None:
        """The best held-out L1 of that job."""

    def close(self) -> None:
        """Let go of what it holds."""


class RandomSampler:
    """The baseline first, then values drawn independently of all results."""

    def __init__(self, seed: int, first: Values) -> None:
        self._rng, self._asked, self._first = np.random.default_rng(seed), 0, first

    def ask(self) -> tuple[int, Values]:
        """The next draw."""
        self._asked += 1
        drawn = {name: knob.draw(self._rng) for name, knob in SPACE.items()} if self._asked > 1 else self._first
        return self._asked, drawn

    def tell(self, number: int, value: float | None) -> None:
        """Nothing is learnt from it."""

    def close(self) -> None:
        """Nothing is held."""


class OptunaSampler:
    """Optuna's TPE in an environment of its own, spoken to by lines of JSON."""

    def __init__(self, python: Path, seed: int, first: Values) -> None:
        told = {"seed": seed, "first": dict(first), "space": {name: asdict(knob) for name, knob in SPACE.items()}}
        self._process = subprocess.Popen(
            (str(python), str(DRIVER), json.dumps(told)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = str(self._answer()["optuna"])

    def ask(self) -> tuple[int, Values]:
        """What TPE wants next, the unfinished ones counted as bad (constant liar)."""
        answer = self._say({"do": "ask"})
        return answer["number"], answer["values"]

    def tell(self, number: int, value: float | None) -> None:
        """A result; None marks the trial as failed."""
        self._say({"do": "tell", "number": number, "value": value})

    def close(self) -> None:
        """End the process; it keeps nothing."""
        with suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _say(self, words: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Optuna's process left with {self._process.wait()}; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer
