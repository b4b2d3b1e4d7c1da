"""Repeats: the jobs that run a config under further seeds, made of its first one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path as File

from auto_loop.domain.cell import seed_of
from auto_loop.domain.config import Config
from auto_loop.domain.edits import Edit, apply, render_edit
from auto_loop.domain.job import REPEAT, JobId, NewJob, Origin
from auto_loop.domain.names import free_name
from auto_loop.domain.paths import Path, render_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeding:
    """How a config gets another seed: where it lies in the config, and how the next config is written and placed.

    `write_variant(parent's config file, parent's config, edits, config)` gives the new config's file;
    `output_dir_of(name, attempt)` where it writes.
    """

    at: Path
    write_variant: Callable[[str, Config, tuple[str, ...], Config], File]
    output_dir_of: Callable[[str, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A cell's first job, queued under `id`, as it was before the ledger had numbered it."""

    id: JobId
    job: NewJob


def seeds_of(config: Config, count: int, at: Path) -> tuple[int, ...]:
    """The seeds of a config's cell: its own, and those that follow it. The same for every config of one first seed, so
    that cells can be paired. None for a config without a seed."""
    first = seed_of(config, at)
    return () if first is None else tuple(range(first, first + count))


def repeats_of(
    lead: Lead, seeds: Iterable[int], seeding: Seeding, taken: Iterable[str], *, proposer: str = REPEAT
) -> Iterator[NewJob]:
    """The lead's config under other seeds, each a job of its own; `taken` are the names that the loop has."""
    names, job = set(taken), lead.job
    for seed in seeds:
        edit = Edit.from_change(render_path(seeding.at), seed)
        edits = (render_edit(edit),)
        config = apply(job.config, [edit])
        file = seeding.write_variant(job.cfg_file, job.config, edits, config)
        name = free_name(file.stem, names)
        names.add(name)
        yield replace(
            job,
            name=name,
            cfg_file=str(file),
            config=config,
            output_dir=seeding.output_dir_of(name, 1),
            origin=Origin(
                parent=lead.id, parent_cfg=job.cfg_file, proposer=proposer, reason=f"seed {seed}", changes=edits
            ),
        )
