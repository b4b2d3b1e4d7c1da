"""Optuna as a scheduler of processes: trials in SQLite, each a `Popen` that is waited for; two at a time.

`python optuna_driver.py FOLDER JOBS SLOTS COMMAND...` in an interpreter with Optuna. Started again after a kill it goes
on until JOBS trials are complete, as its documentation advises.
"""

import subprocess
import sys

import optuna

folder, jobs, slots, command = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial: optuna.Trial) -> float:
    number = trial.suggest_int("number", 0, jobs - 1)
    if subprocess.Popen([*command, f"trial{number:03}"]).wait():
        raise optuna.TrialPruned
    return float(number)


space = {"number": list(range(jobs))}
storage = f"sqlite:///{folder}/optuna.sqlite3"
sampler = optuna.samplers.GridSampler(space)
study = optuna.create_study(storage=storage, study_name="benchmark", sampler=sampler, load_if_exists=True)
complete = len(study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))
study.optimize(objective, n_trials=jobs - complete, n_jobs=slots)
