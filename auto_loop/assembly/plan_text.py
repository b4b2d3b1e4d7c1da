"""A plan as people read it: what would run, on what, and why; nothing has been started or written."""

from collections.abc import Iterator, Sequence

from auto_loop.assembly.loops import first_jobs
from auto_loop.assembly.prepare import Prepared
from auto_loop.assembly.requests import Requests, shown_pass
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.config import Config
from auto_loop.domain.job import Job, JobId, Origin
from auto_loop.domain.slot import Slot
from auto_loop.launch.base import LaunchRequest
from auto_loop.launch.command import render_command
from auto_loop.loop.parts import Ticket
from auto_loop.loop.repeating import seeds_of


def printed_plan(prepared: Prepared, around: Surroundings) -> str:
    """The first round's jobs, each with the slot it would take, its command, log and output folder."""
    loop = int(around.clock())
    requests = Requests(prepared=prepared, around=around, loop=loop)
    slots = prepared.slots.value
    planned = []
    for at, (name, file, config) in enumerate(first_jobs(prepared, around)):
        job = planned_job(at + 1, prepared.study, loop, name, file, config, requests.output_dir(name))
        slot = slots[at % len(slots)]
        ticket = Ticket(job=job, slot=slot, number=1, token="", entry=shown_pass(slot))
        planned.append((job, slot, requests.order(ticket).request))
    return plan_text(prepared, loop, planned)


def plan_text(prepared: Prepared, loop: int, planned: Sequence[tuple[Job, Slot, LaunchRequest]]) -> str:
    """The whole plan of the first round: `planned` holds each job with the slot it takes if all jobs last alike."""
    return "\n".join([*_head(prepared, loop, len(planned)), *_jobs(planned, prepared), *_foot(prepared)])


def planned_job(number: int, study: str, loop: int, name: str, cfg_file: str, config: Config, output_dir: str) -> Job:
    """A job as a plan shows it, before the ledger knows it."""
    return Job(
        id=JobId(number),
        study=study,
        loop=loop,
        round=1,
        position=number,
        name=name,
        cfg_file=cfg_file,
        config=config,
        output_dir=output_dir,
        origin=Origin(),
    )


def count(number: int, what: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _head(prepared: Prepared, loop: int, jobs: int) -> Iterator[str]:
    call, options = prepared.call, prepared.options
    slots = prepared.slots.value
    decide = f"--decide, {count(call.rounds, 'round')}" if call.decide else "1 round, nothing decided (no --decide)"
    times = f" under {call.repeats} seeds each ({jobs * call.repeats} in all)" if call.repeats > 1 else ""
    size = f"{count(jobs, 'job')} in round 1{times}, {count(len(slots), 'slot')}"
    yield f"Plan for study {prepared.study}, loop_{loop}: {size}; {decide}"
    yield f"  trainer  {options.target.script or '-m ' + options.target.module}"
    yield f"  profile  {prepared.profile.name}  ({prepared.profile.why})"
    yield f"  pack     {prepared.pack.name}  ({prepared.pack.why})"
    yield f"  slots    {'; '.join(f'{slot.index}: {slot.place}' for slot in slots)}  ({prepared.slots.why})"
    yield f"  python   {options.python}"
    yield f"  W&B      {options.wandb.mode.value}"


def _jobs(planned: Sequence[tuple[Job, Slot, LaunchRequest]], prepared: Prepared) -> Iterator[str]:
    for job, slot, request in planned:
        yield ""
        yield f"job {job.name}"
        yield f"  config   {job.cfg_file}"
        yield f"  slot     {slot.index} ({slot.place}), or the first that is free"
        yield f"  output   {job.output_dir}"
        yield f"  log      {request.log_file}"
        yield f"  command  {render_command(request)}"
        if prepared.seed is not None and prepared.call.repeats > 1:
            seeds = seeds_of(job.config, prepared.call.repeats, prepared.seed)
            yield f"  seeds    {', '.join(map(str, seeds))}: a config file and a job for each"


def _foot(prepared: Prepared) -> Iterator[str]:
    yield ""
    for note in prepared.notes:
        yield f"note: {note}"
    for warning in prepared.warnings:
        yield f"warning: {warning}"
    yield "Nothing was run. Add --exec to run it."
