"""Three rounds of the pack act_ot on the stand-in: from a dead baseline and the seed's three variants."""

from auto_loop.domain.config import Config
from auto_loop.domain.edits import apply, parse_edits
from auto_loop.domain.fingerprint import fingerprint_of
from auto_loop.domain.history import History
from auto_loop.domain.job import Job
from auto_loop.domain.study import Study
from auto_loop.proposers.panel import Limits, Ruling, judge
from auto_loop.proposers.rulebook import Rulebook
from auto_loop.rules.pack import shipped_pack
from tests.packs.studies import BASELINE, job_of, summary_of

PACK = shipped_pack("act_ot")
VARIANTS = (
    (
        "ot.loss_config.reg@mul=1.5",
        "ot.loss_config.tau_src@set=1.0",
        "ot.loss_config.tau_tgt@set=1.0",
        "ot.lambda_ot@set=0.12",
    ),
    (
        "ot.loss_config.tau_src@set=2.0",
        "ot.loss_config.tau_tgt@set=2.0",
        "ot.lambda_ot@set=0.15",
        "ot.loss_config.features.*.weight_label@mul=0.5",
    ),
    (
        "ot.loss_config.tau_src@set=5.0",
        "ot.loss_config.tau_tgt@set=5.0",
        "ot.lambda_ot@set=0.10",
        "ot.loss_config.features.*.weight_label@set=0.005",
    ),
)


def decided(jobs: list[Job], seen: set[str]) -> Ruling:
    history = History(
        study=Study(name="act_ot", pack="act_ot", profile="act_ot", created_at=0.0),
        jobs=tuple(jobs),
        summaries={job.id: summary_of(job) for job in jobs},
    )
    offer = Rulebook(pack=PACK).offer(jobs, history)
    assert offer.silences == ()
    return judge(
        offer.candidates,
        guardrails=PACK.guardrails,
        limits=Limits(per_parent=1, round_size=4),
        seen=frozenset(seen),
    )


def rounds(configs: list[Config], count: int) -> list[list[Job]]:
    """`count` rounds, and the configs that would follow."""
    seen: set[str] = set()
    found: list[list[Job]] = []
    for depth in range(count):
        jobs = [job_of(config, number=4 * depth + at + 1, round_=depth + 1) for at, config in enumerate(configs)]
        seen |= {fingerprint_of(job.config, PACK.guardrails.ignore) for job in jobs}
        found.append(jobs)
        configs = [accepted.config for accepted in decided(jobs, seen).accepted]
    return found


def masses(jobs: list[Job]) -> list[float]:
    return [summary_of(job).metrics["train/ot_pi_sum"].last or 0.0 for job in jobs]


def test_a_dead_baseline_and_three_variants_fill_four_places_in_each_of_four_rounds() -> None:
    baseline = Config.of(BASELINE)
    configs = [baseline, *(apply(baseline, parse_edits(edits)) for edits in VARIANTS)]
    found = rounds(configs, 5)
    assert [len(jobs) for jobs in found] == [4] * 5
    everything = [fingerprint_of(job.config, PACK.guardrails.ignore) for jobs in found for job in jobs]
    assert len(set(everything)) == 20


def test_the_mass_comes_to_life_in_the_round_after_the_dead_one() -> None:
    first, second = rounds([Config.of(BASELINE)], 2)
    assert masses(first)[0] < 1e-20
    assert all(mass > 1e-6 for mass in masses(second)[:2])


def test_one_dead_parent_alone_still_fills_the_round() -> None:
    ruling = decided([job_of(BASELINE)], set())
    assert len(ruling.accepted) == 4
    assert ruling.silences == ()
