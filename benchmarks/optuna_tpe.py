"""Optuna's TPE behind lines of JSON, in an environment of its own.

`python optuna_tpe.py '{"seed": 1, "first": {values}, "space": {knobs}}'`. One answer a line: to `{"do": "ask"}` a
trial's number and values, to `{"do": "tell", "number": n, "value": x}` an empty one. The storage is in memory: a search
is begun and ended by one process.
"""

import json
import sys

import optuna

STARTUP = 4
"""Random trials before TPE begins to choose. Optuna's own 10 is about as many jobs as the whole budget allows."""


def main() -> None:
    told = json.loads(sys.argv[1])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=told["seed"], n_startup_trials=STARTUP, constant_liar=True)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.enqueue_trial(told["first"])
    space = {name: distribution(knob) for name, knob in told["space"].items()}
    answer({"optuna": optuna.__version__})
    for line in sys.stdin:
        words = json.loads(line)
        if words["do"] == "ask":
            trial = study.ask(space)
            answer({"number": trial.number, "values": trial.params})
        else:
            failed = words["value"] is None
            study.tell(words["number"], words["value"], optuna.trial.TrialState.FAIL if failed else None)
            answer({})


def distribution(knob):  # type: ignore[no-untyped-def] # Optuna's types are known in its own environment alone
    """A knob as Optuna has it."""
    if knob["choices"]:
        return optuna.distributions.CategoricalDistribution(knob["choices"])
    return optuna.distributions.FloatDistribution(knob["low"], knob["high"], log=knob["log"])


def answer(words: dict[str, object]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
