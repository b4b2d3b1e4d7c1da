"""A stand-in for real training: the mass that the law exp(−M/s) gives for a config, and an L1 that follows it."""

import copy
import json
import math
from pathlib import Path
from typing import Any

from auto_loop.domain.config import Config
from auto_loop.domain.job import Job, JobId, JobState, Outcome
from auto_loop.domain.summary import Summary, summary_from_json

BASELINE: dict[str, Any] = json.loads(Path("train_configs/act_ot_baseline.json").read_text(encoding="utf-8"))
LABEL_COSTS = {"action": 2500.0, "gripper": 200.0, "hand": 2000.0, "image": 10.0}


def with_values(**values: Any) -> dict[str, Any]:
    """The baseline's tree with some values set: `ot__lambda_ot=0.2`, `features__3__weight_label=0`."""
    tree = copy.deepcopy(BASELINE)
    for path, value in values.items():
        node: Any = tree
        *above, last = path.split("__")
        for part in above:
            node = node[int(part)] if part.isdecimal() else node[part]
        node[last] = value
    return tree


def loss_config(**values: Any) -> dict[str, Any]:
    """The baseline's tree with values of `ot.loss_config` set."""
    return with_values(**{f"ot__loss_config__{name}": value for name, value in values.items()})


def metric(last: float, first: float | None = None, **more: Any) -> dict[str, Any]:
    """One metric's statistics in the plain form."""
    first = last if first is None else first
    delta = last - first
    pct = 100 * delta / abs(first) if first else None
    return {"first": first, "last": last, "best": last, "best_step": 500, "delta": delta, "pct": pct, "n": 10,
            "nan_count": 0, "source": "metrics.jsonl", **more}  # fmt: skip


def witnesses(labels: list[float], embeds: list[float], kl: float = 0.0) -> dict[str, dict[str, Any]]:
    """The terms of three plans that are all alike, as under a constant cost: by feature and in all."""
    found: dict[str, float] = {}
    for who in ("plan", "eased", "mean"):
        for kind, costs in (("label", labels), ("embed", embeds)):
            found[f"{who}_cost/{kind}"] = sum(costs)
            found |= {f"{who}_{kind}/{index}": cost for index, cost in enumerate(costs)}
        if who != "mean":
            found |= {f"{who}_kl/{of}": kl for of in ("ref", "src", "tgt")} | {f"{who}_cost/kl": 2.3 * kl}
    return {f"train/ot_{name}": metric(value) for name, value in found.items()}


def run(config: dict[str, Any] | None = BASELINE, **metrics: dict[str, Any] | float) -> dict[str, Any]:
    """A plain summary; a bare number is a metric's last value."""
    named = {name: metric(found) if isinstance(found, float) else found for name, found in metrics.items()}
    return {"config": config, "metrics": named}


def mass(last: float, **more: dict[str, Any] | float) -> dict[str, dict[str, Any] | float]:
    return {"train/ot_pi_sum": last, **more}


def at_cost(of_mass: float, label: float, embed: float, **more: dict[str, Any] | float) -> dict[str, Any]:
    """A run of the baseline whose labels and embeddings cost this much, whatever the plan."""
    found = witnesses([0.0, 0.0, 0.0, label], [embed, 0.0, 0.0, 0.0])
    return run(**mass(of_mass, **found, **{"train/ot_m_eff": label + embed, "train/ot_s": 2.3, **more}))


def trained(tree: dict[str, Any]) -> dict[str, Any]:
    """The plain summary of a run of this config, by the law of mass for a constant cost."""
    loss = tree["ot"]["loss_config"]
    labels = [one["term_weight"] * LABEL_COSTS[one["term_name"]] * one["weight_label"] for one in loss["features"]]
    embeds = [one["term_weight"] * one["weight_embed"] for one in loss["features"]]
    cost = sum(labels) + sum(embeds)
    s = loss["reg"] + loss["tau_src"] + loss["tau_tgt"]
    mass = math.exp(-cost / s)
    ratio = 3 * tree["ot"]["lambda_ot"] * mass
    l1 = 0.32 - 0.02 * min(1, ratio) + 10 * abs(tree["policy"]["optimizer_lr"] - 5e-4)
    return {
        "config": tree,
        "run_dir": "outputs/train/loop_1/job",
        "metrics": {
            "train/ot_pi_sum": metric(mass, mass / 2),
            "train/ot_pi_diag": metric(mass / 4, mass / 8),
            "train/ot_loss": metric(cost * mass, cost * mass * 1.5),
            "train/ot_m_eff": metric(cost),
            "train/ot_s": metric(s),
            "train/ot_log_pi_sum": metric(-cost / s),
            **witnesses(labels, embeds),
            "train/ot_grad_ratio": metric(ratio),
            "train/ot_not_converged": metric(0.0),
            "train/grad_norm": metric(5.0),
            "train/loss": metric(0.3, 3.0),
            "train/l1_loss": metric(0.1, 1.0),
            "eval/offline_eval/avg_l1": metric(l1, 2 * l1),
        },
    }


def job_of(tree: dict[str, Any] | Config, number: int = 1, round_: int = 1) -> Job:
    """A finished job with this config."""
    config = tree if isinstance(tree, Config) else Config.of(tree)
    return Job(
        id=JobId(number),
        study="s",
        loop=1,
        round=round_,
        position=number,
        name=f"job{number}",
        cfg_file=f"train_configs/job{number}.json",
        config=config,
        output_dir=f"outputs/train/loop_1/job{number}",
        state=JobState.DONE,
        outcome=Outcome.SUCCEEDED,
    )


def summary_of(job: Job) -> Summary:
    """The summary of a finished stand-in run."""
    return summary_from_json(trained(job.config.data()))
