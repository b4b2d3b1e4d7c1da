"""A night as the ledger would tell it: two loops, four rounds, every kind of outcome and of decision."""

from auto_loop.domain.config import Config
from auto_loop.domain.history import History, ProposalRecord, SilenceRecord
from auto_loop.domain.job import Attempt, AttemptId, Job, JobId, JobState, Origin, Outcome
from auto_loop.domain.proposal import Proposal, Silence, Verdict
from auto_loop.domain.series import Source
from auto_loop.domain.stats import Direction, usual_direction
from auto_loop.domain.study import Loop, Study
from auto_loop.domain.summary import MetricStats, Summary
from auto_loop.reporting.lens import Band, Lens

ROOT = "/home/user/project"
EARLIER, NIGHT = 1763600000, 1763690000
NOW = NIGHT + 700.0
L1, MASS = "eval/offline_eval/avg_l1", "train/ot_pi_sum"
KEY = "0123456789abcdef0123456789abcdef01234567"

ALIASES = {"ot_pi_sum": MASS}


def canonical(name: str) -> str:
    return ALIASES.get(name, name)


def direction(name: str) -> Direction:
    return Direction.NONE if canonical(name) == MASS else usual_direction(name)


LENS = Lens(
    main_metric=L1,
    min_difference=0.005,
    key_metrics=(MASS, "train/l1_loss", "train/grad_norm", "train/ot_grad_ratio"),
    bands={MASS: Band(dead_below=1e-6, low=1e-3)},
    direction=direction,
    canonical=canonical,
    root=ROOT,
)


def stats(
    first: float, last: float, best: float | None = None, step: int = 500, n: int = 5, nan: int = 0
) -> MetricStats:
    return MetricStats(
        first=first,
        last=last,
        best=best,
        best_step=step if best is not None else None,
        delta=last - first,
        pct=100 * (last - first) / abs(first) if first else None,
        n=n,
        nan_count=nan,
        source=Source.MIRROR,
    )


def summary(
    job: Job, l1: tuple[float, float, float], mass: tuple[float, float], nan: int = 0, url: str = ""
) -> Summary:
    return Summary(
        run_dir=job.output_dir,
        config=job.config,
        config_file=job.cfg_file,
        outcome=job.outcome,
        wandb_url=url,
        metrics={
            L1: stats(*l1),
            "ot_pi_sum": stats(*mass, n=10),
            "train/l1_loss": stats(0.71, l1[1] * 0.8, l1[1] * 0.79, step=450, n=10),
            "train/grad_norm": stats(12.0, 3.25, 2.875, step=400, n=10 - nan, nan=nan),
            "train/lr": stats(1e-4, 1e-4),
            "train/update_s": stats(0.021, 0.02),
        },
    )


def attempt(
    job: int, start: float, took: float | None, name: str, loop: int = NIGHT, number: int = 1, **more: object
) -> Attempt:
    suffix = "" if number == 1 else f".a{number}"
    plain = {
        "id": AttemptId(100 * job + number),
        "job": JobId(job),
        "number": number,
        "slot": job % 2,
        "gpus": (),
        "token": f"t{job}",
        "command": ("accelerate", "launch"),
        "output_dir": f"{ROOT}/outputs/train/loop_{loop}/{name}{suffix}",
        "log_file": f"{ROOT}/.codex_tmp/slot{job % 2}_{name}{suffix}.log",
        "claim_file": "",
        "exit_file": "",
        "created_at": start - 0.5,
        "started_at": start,
        "ended_at": start + took if took is not None else None,
        "outcome": Outcome.SUCCEEDED if took is not None else None,
        "returncode": 0 if took is not None else None,
    }
    return Attempt(**{**plain, **more})  # type: ignore[arg-type] # a mapping of exactly the fields above


def job(number: int, loop: int, round_: int, name: str, attempts: tuple[Attempt, ...], **more: object) -> Job:
    plain = {
        "id": JobId(number),
        "study": "act_ot",
        "loop": loop,
        "round": round_,
        "position": number,
        "name": name,
        "cfg_file": f"{ROOT}/train_configs/{name}.json",
        "config": Config.of({"steps": 500}),
        "output_dir": f"{ROOT}/outputs/train/loop_{loop}/{name}",
        "state": JobState.DONE,
        "outcome": Outcome.SUCCEEDED,
        "attempts": attempts,
    }
    return Job(**{**plain, **more})  # type: ignore[arg-type] # a mapping of exactly the fields above


LOG = f"""
\x1b[32mINFO\x1b[0m step:100 loss:0.71
wandb: using key {KEY}
 10%|█         | 50/500\r 12%|█▏        | 60/500
Traceback (most recent call last):
  File "train.py", line 91, in main
    loss.backward()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate ```2.00 GiB``` | GPU 0
"""

RAISE_S = "mass is dead (2.6e-85): s = reg + tau must reach M_eff / ln(1/p)"
LABEL = "features.3.weight_label@mul=0.00001"


def night() -> History:
    first = job(1, EARLIER, 1, "act_ot_baseline", (attempt(1, EARLIER + 2.0, 61.0, "act_ot_baseline", EARLIER),))
    jobs = [first, *_round_one(), *_round_two(), *_round_three()]
    return History(
        study=Study(name="act_ot", pack="act_ot", profile="act_ot", created_at=EARLIER),
        loops=(
            Loop(
                study="act_ot",
                number=EARLIER,
                flags={"decide": False},
                started_at=float(EARLIER),
                ended_at=EARLIER + 65.0,
                end_reason="all jobs are done",
            ),
            Loop(study="act_ot", number=NIGHT, flags={"decide": True, "rounds": 3}, started_at=float(NIGHT)),
        ),
        jobs=tuple(jobs),
        summaries=_summaries({each.id: each for each in jobs}),
        proposals=_proposals(),
        silences=(
            SilenceRecord(
                loop=NIGHT,
                round=1,
                silence=Silence(
                    parent=JobId(4),
                    cause="no readable history",
                    detail="looked for wandb-history.jsonl, metrics.jsonl, wandb/*/run-*.wandb",
                ),
            ),
            SilenceRecord(
                loop=NIGHT,
                round=2,
                silence=Silence(
                    parent=JobId(7), cause="no rule fired", detail="nearest: l1_plateau, slope 0.00012 against 0.0001"
                ),
            ),
        ),
    )


def _round_one() -> list[Job]:
    names = ["act_ot_baseline", "act_ot_cost_scale", "act_ot_big_batch", "act_ot_few_features"]
    starts = [2.0, 2.0, 95.0, 96.0]
    jobs = [
        job(2 + k, NIGHT, 1, name, (attempt(2 + k, NIGHT + start, 91.4, name),))
        for k, (name, start) in enumerate(zip(names, starts, strict=True))
    ]
    died = attempt(
        4,
        NIGHT + 95.0,
        7.2,
        names[2],
        outcome=Outcome.FAILED,
        returncode=1,
        cause="torch.OutOfMemoryError: CUDA out of memory",
        log_tail=LOG,
    )
    jobs[2] = job(4, NIGHT, 1, names[2], (died,), outcome=Outcome.FAILED)
    return jobs


def _round_two() -> list[Job]:
    raised = Origin(
        parent=JobId(2),
        proposer="rules",
        rule="mass_dead",
        reason=RAISE_S,
        changes=(LABEL, "ot.loss_config.reg@set=0.5"),
        notes=("reg 0.5 is the upper end of its range",),
    )
    lowered = Origin(
        parent=JobId(3),
        proposer="rules",
        rule="cost_flat",
        reason="mass is high (0.83) and the cost flat (slope 1e-5 | step)",
        changes=("ot.lambda_ot@mul=0.5",),
    )
    return [
        job(
            6,
            NIGHT,
            2,
            "act_ot_baseline_h2jr9c",
            (attempt(6, NIGHT + 200.0, 93.0, "act_ot_baseline_h2jr9c"),),
            origin=raised,
        ),
        job(
            7,
            NIGHT,
            2,
            "act_ot_cost_scale_p0o9i8",
            (
                attempt(
                    7,
                    NIGHT + 200.0,
                    12.0,
                    "act_ot_cost_scale_p0o9i8",
                    outcome=Outcome.LOST,
                    returncode=None,
                    cause="no exit was left",
                ),
                attempt(7, NIGHT + 220.0, 90.0, "act_ot_cost_scale_p0o9i8", number=2),
            ),
            origin=lowered,
        ),
    ]


def _round_three() -> list[Job]:
    origin = Origin(
        parent=JobId(6), proposer="rules", rule="mass_dead", reason=RAISE_S, changes=("ot.loss_config.tau_src@set=3",)
    )
    other = Origin(
        parent=JobId(6), proposer="inbox", reason="a wider window, by hand", changes=("ot.window_size@add=2",)
    )
    return [
        job(
            8,
            NIGHT,
            3,
            "act_ot_baseline_k3m1xz",
            (attempt(8, NIGHT + 330.0, None, "act_ot_baseline_k3m1xz"),),
            origin=origin,
            state=JobState.RUNNING,
            outcome=None,
        ),
        job(9, NIGHT, 3, "act_ot_baseline_q7w2er", (), origin=other, state=JobState.QUEUED, outcome=None),
    ]


def _summaries(jobs: dict[JobId, Job]) -> dict[JobId, Summary]:
    url = "https://wandb.ai/team/act/runs/abc123"
    return {
        JobId(1): summary(jobs[JobId(1)], (0.52, 0.3301, 0.3299), (2.6e-85, 2.6e-85)),
        JobId(2): summary(jobs[JobId(2)], (0.52, 0.3301, 0.3256), (2.6e-85, 2.6e-85)),
        JobId(3): summary(jobs[JobId(3)], (0.51, 0.3182, 0.3182), (0.61, 0.83), url=url),
        JobId(5): summary(jobs[JobId(5)], (0.55, 0.3402, 0.3402), (1e-12, 4.5e-5), nan=2),
        JobId(6): summary(jobs[JobId(6)], (0.52, 0.3081, 0.3062), (2.6e-85, 0.31)),
        JobId(7): summary(jobs[JobId(7)], (0.51, 0.3171, 0.3171), (0.61, 0.79)),
    }


def _proposals() -> tuple[ProposalRecord, ...]:
    dead = Proposal(
        changes={"features.3.weight_label@mul": 1e-5},
        reason=RAISE_S,
        rule="mass_dead",
        evidence={"last(train/ot_pi_sum)": 2.6e-85, "s": 2.3, "predicts": [MASS]},
    )
    flat = Proposal(
        changes={"ot.lambda_ot@mul": 0.5},
        reason="mass is high (0.83) and the cost flat (slope 1e-5 | step)",
        rule="cost_flat",
    )
    both = Proposal(
        changes={"features.3.use_learned_embed@set": False}, reason="try without the embedding", proposer="inbox"
    )
    late = Proposal(changes={"policy.optimizer_lr@mul": 0.5}, reason="L1 is on a plateau", rule="l1_plateau")
    return (
        ProposalRecord(
            loop=NIGHT,
            round=1,
            parent=JobId(2),
            proposal=dead,
            verdict=Verdict.ACCEPTED,
            edits=(LABEL, "ot.loss_config.reg@set=0.5"),
            child=JobId(6),
        ),
        ProposalRecord(
            loop=NIGHT,
            round=1,
            parent=JobId(3),
            proposal=flat,
            verdict=Verdict.ACCEPTED,
            edits=("ot.lambda_ot@mul=0.5",),
            child=JobId(7),
        ),
        ProposalRecord(
            loop=NIGHT,
            round=1,
            parent=JobId(5),
            proposal=both,
            verdict=Verdict.REFUSED,
            edits=("features.3.use_learned_embed@set=false",),
            reasons=(
                "features.3 has neither an embedding nor a label left (set features.3.weight_label@set=0.002)",
                "duplicate of job 5",
            ),
        ),
        ProposalRecord(
            loop=NIGHT,
            round=1,
            parent=JobId(5),
            proposal=late,
            verdict=Verdict.NO_PLACE,
            edits=("policy.optimizer_lr@mul=0.5",),
            reasons=("the round is full (2 jobs)",),
        ),
        ProposalRecord(
            loop=NIGHT,
            round=2,
            parent=JobId(6),
            proposal=dead,
            verdict=Verdict.ACCEPTED,
            edits=("ot.loss_config.tau_src@set=3",),
            child=JobId(8),
        ),
    )
