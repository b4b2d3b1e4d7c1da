"""What a report knows of causes, predictions, effects and rules, as plain JSON. Every key of it is a promise."""

from dataclasses import asdict

from auto_loop.domain.config import Json
from auto_loop.domain.effect import Effect, Finding
from auto_loop.domain.noise import NoiseFloor
from auto_loop.domain.track_record import TrackRecord, never_helps
from auto_loop.reporting.cells import CellReport, ConfirmationReport
from auto_loop.reporting.foresight import Foreseen
from auto_loop.reporting.told import Diagnosed, Report, Warned

# What screening says in place of "better" and "worse": these are said of fresh seeds alone.
_SCREENED = {Finding.BETTER: "promising", Finding.WORSE: "not promising"}


def foreseen_to_json(one: Foreseen) -> dict[str, Json]:
    """One prediction; `nats` and `hit` are null where they cannot be said."""
    return {
        "metric": one.metric,
        "predicted": one.predicted,
        "measured": one.measured,
        "runs": one.runs,
        "difference": one.difference,
        "nats": one.nats,
        "hit": one.hit,
        "log_of": one.log_of or None,
    }


def cell_to_json(one: CellReport) -> dict[str, Json]:
    """One config of a round, with its effect against the base as it was screened."""
    return {
        "cell": one.lead.cell,
        "jobs": [job.id for job in one.jobs],
        "seeds": [job.seed for job in one.jobs],
        "n": one.n,
        "mean": one.mean,
        "sd": one.sd,
        "base": one.base,
        "effect": effect_to_json(one.effect, confirmed=False) if one.effect else None,
        "difference": one.difference,
    }


def effect_to_json(effect: Effect, *, confirmed: bool) -> dict[str, Json]:
    """An effect; unless it is `confirmed`, its finding says no more than that it is promising."""
    finding = effect.finding.value if confirmed else _SCREENED.get(effect.finding, effect.finding.value)
    return {**asdict(effect), "method": effect.method.value, "finding": finding}


def confirmation_to_json(one: ConfirmationReport) -> dict[str, Json]:
    """One confirmation on fresh seeds; `effect` is null while its runs go."""
    return {
        "loop": one.loop,
        "round": one.round,
        "number": one.number,
        "candidate": one.candidate,
        "base": one.base,
        "seeds": list(one.seeds),
        "jobs": [job.id for job in one.jobs],
        "screened": effect_to_json(one.screened, confirmed=False),
        "effect": effect_to_json(one.effect, confirmed=True) if one.effect else None,
    }


def diagnosed_to_json(one: Diagnosed) -> dict[str, Json]:
    """A cause that a parent's runs showed."""
    return {"job": one.job, "name": one.name, "text": one.text}


def warned_to_json(one: Warned) -> dict[str, Json]:
    """What a live rule said of a job that it did not stop."""
    return {"job": one.job, "rule": one.rule, "text": one.text}


def rules_to_json(report: Report) -> dict[str, Json]:
    """The study's keys on its rules."""
    return {
        "track_records": [_record(one) for one in report.rules.records],
        "rules_never_judged": [
            {"rule": one.rule, "lacked": list(one.lacked), "runs": one.runs, "live": one.live}
            for one in report.rules.unjudged
        ],
    }


def noise_to_json(noise: NoiseFloor | None, of: int) -> Json:
    """A loop's noise floor and the loop that it is known from; null where it is not known."""
    return {"loop": of, **asdict(noise)} if noise is not None and noise.sd is not None else None


def _record(one: TrackRecord) -> dict[str, Json]:
    return {
        "rule": one.rule,
        "fired": one.fired,
        "accepted": one.accepted,
        "measured": one.measured,
        "improved": one.improved,
        "share": one.share,
        "interval": list(one.interval) if one.interval else None,
        "never_helps": never_helps(one),
    }
