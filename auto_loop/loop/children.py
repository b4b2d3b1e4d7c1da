"""Children: the one place where a job is made of another, whoever proposed it."""

from collections.abc import Iterable
from dataclasses import dataclass

from auto_loop.domain.config import Config
from auto_loop.domain.job import REPEAT, Job, JobId, NewJob, Origin
from auto_loop.domain.names import free_name
from auto_loop.loop.parts import Parts
from auto_loop.loop.repeating import Lead, Seeding, repeats_of, seeds_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A job to be made of `parent`: `edits` in normal form make `config` of the parent's.

    `ahead` and `warm_from` are as in `NewJob`.
    """

    parent: Job
    round: int
    config: Config
    edits: tuple[str, ...]
    proposer: str
    rule: str
    reason: str
    notes: tuple[str, ...] = ()
    ahead: bool = False
    warm_from: JobId | None = None


def queue_child(parts: Parts, child: Child) -> tuple[str, JobId]:
    """The child queued: its name and number. Call it in a transaction."""
    job = child_job(parts, child)
    return job.name, parts.ledger.add_job(job)


def queue_cell(parts: Parts, child: Child) -> tuple[str, JobId]:
    """The child queued, and behind it its config under the further seeds that --repeats asks for."""
    job = child_job(parts, child)
    number = parts.ledger.add_job(job)
    if parts.call.repeats > 1 and parts.seed is not None:
        seeds = seeds_of(job.config, parts.call.repeats, parts.seed)[1:]
        queue_repeats(parts, Lead(id=number, job=job), seeds, REPEAT)
    return job.name, number


def queue_repeats(parts: Parts, lead: Lead, seeds: Iterable[int], proposer: str) -> int:
    """The lead's config under other seeds, queued; how many."""
    assert parts.seed is not None
    work = parts.workshop
    seeding = Seeding(at=parts.seed, write_variant=work.write_variant, output_dir_of=work.output_dir_of)
    jobs = list(repeats_of(lead, seeds, seeding, parts.ledger.reading.outcomes(parts.loop), proposer=proposer))
    for job in jobs:
        parts.ledger.add_job(job)
    return len(jobs)


def child_job(parts: Parts, child: Child) -> NewJob:
    """The child as a job, under a name that its loop has not, with its config file written."""
    parent = child.parent
    file = parts.workshop.write_variant(parent.cfg_file, parent.config, child.edits, child.config)
    name = free_name(file.stem, parts.ledger.reading.outcomes(parts.loop))
    return NewJob(
        study=parts.study,
        loop=parts.loop,
        round=child.round,
        name=name,
        cfg_file=str(file),
        config=child.config,
        output_dir=parts.workshop.output_dir_of(name, 1),
        origin=Origin(
            parent=parent.id,
            parent_cfg=parent.cfg_file,
            proposer=child.proposer,
            rule=child.rule,
            reason=child.reason,
            changes=child.edits,
            notes=child.notes,
        ),
        warm_from=child.warm_from,
        ahead=child.ahead,
    )
