"""Children: the one place where a job is made of another, whoever proposed it."""

from dataclasses import dataclass

from auto_loop.domain.config import Config
from auto_loop.domain.job import Job, JobId, NewJob, Origin
from auto_loop.domain.names import free_name
from auto_loop.loop.parts import Parts


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
