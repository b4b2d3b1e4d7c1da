"""Which loop a call drives: the study that it holds, and a new loop in it or the unfinished one."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from auto_loop.assembly.choices import choose_pack, choose_profile
from auto_loop.assembly.named_files import ledger_file, shown
from auto_loop.assembly.prepare import Prepared
from auto_loop.assembly.requests import Requests
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.assembly.variants import variant_beside
from auto_loop.domain.call import AutorunCall
from auto_loop.domain.config import Config
from auto_loop.domain.errors import Fault, MisuseError, RefusedError
from auto_loop.domain.job import NewJob, Origin
from auto_loop.domain.names import free_name
from auto_loop.domain.secrets import secrets_of
from auto_loop.domain.study import Loop, Supervisor
from auto_loop.launch import processes
from auto_loop.ledger.lease import Lease
from auto_loop.ledger.ledger import Ledger
from auto_loop.ledger.reading import Reading
from auto_loop.loop.repeating import Lead, Seeding, repeats_of, seeds_of


def hold(prepared: Prepared, ledger: Ledger, say: Callable[[str], None], around: Surroundings) -> tuple[str, Lease]:
    """The study and its lease. An unnamed study that is held becomes `<name>-2`, and so on; a named one is refused.

    The lock alone decides on one host. Locks need not reach another one, so that a study which another host's
    supervisor never left is taken with --take-over only. A stale one is taken at once.
    """
    file, number = ledger_file(prepared.call, around), 1
    while True:
        study = prepared.study if number == 1 else f"{prepared.study}-{number}"
        lease, before = Lease.take(file, study), ledger.reading.supervisor(study)
        away = before is not None and before.ended_at is None and before.host != around.host
        if lease is not None and (not away or prepared.call.take_over):
            _say_taken(study, before, away, number, prepared.study, say)
            return study, lease
        if lease is not None:
            lease.close()
        if prepared.call.study:
            raise RefusedError(_held(study, before, away))
        number += 1


def _say_taken(
    study: str, before: Supervisor | None, away: bool, number: int, first: str, say: Callable[[str], None]
) -> None:
    if number > 1:
        say(f"note: study {first} is held by a running supervisor; this call is study {study}")
    if before is not None and before.ended_at is None:
        how = f"on {before.host}, as asked" if away else "which is gone"
        say(f"note: study {study} is taken over from process {before.pid} ({how}; since {_time(before.since)})")


def _held(study: str, holder: Supervisor | None, away: bool) -> Fault:
    hint = "wait for it, `auto-loop stop` it, or name another study with --study"
    if holder is None:
        return Fault(what=f"study {study} is held by another process", where="--study", hint=hint)
    who = f"process {holder.pid} on {holder.host} since {_time(holder.since)}"
    if away:
        hint = "if that process is dead, --take-over takes the study; while it lives, jobs would run twice"
    return Fault(what=f"study {study} is held by {who}", where="--study", hint=hint)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}"


def enter(study: str, ledger: Ledger, around: Surroundings) -> None:
    """Write down that this process drives the study; call it with the lease in hand."""
    me = processes.process(os.getpid())
    ledger.record_supervisor(
        Supervisor(
            study=study,
            host=around.host,
            boot_id=around.boot_id,
            pid=os.getpid(),
            start_time=me.start_time if me else 0,
            since=around.clock(),
        )
    )


def resumed(call: AutorunCall, around: Surroundings) -> AutorunCall:
    """The call with the stored flags of the study's unfinished loop. MisuseError when there is none."""
    study = call.study or choose_pack(call, choose_profile(call, around.root).value, around.root).value.name
    open_loops = unfinished_loops(ledger_file(call, around))
    if study not in open_loops:
        others = f"unfinished: {', '.join(open_loops)}; name one with --study, or " if open_loops else ""
        hint = f"{others}leave --resume out to start a new loop"
        raise MisuseError(Fault(what=f"study {study} has no unfinished loop", where="--resume", hint=hint))
    before = open_loops[study].flags
    return replace(call.resumed(before, secrets_of(around.env)), study=study, resume=True)


def unfinished_loops(ledger: Path) -> dict[str, Loop]:
    """Each study's unfinished loop, by the study's name; none where there is no ledger, and none is made."""
    if not ledger.is_file():
        return {}
    with closing(Reading.open(ledger)) as reading:
        found = {study.name: reading.unfinished_loop(study.name) for study in reading.studies()}
    return {name: loop for name, loop in found.items() if loop is not None}


def open_loop(prepared: Prepared, ledger: Ledger, around: Surroundings) -> int:
    """The loop's number: the unfinished one's when it is resumed, else a new one with its first jobs queued."""
    study, call = prepared.study, prepared.call
    if call.resume:
        loop = ledger.unfinished_loop(study)
        if loop is None:
            raise MisuseError(Fault(what=f"study {study} has no unfinished loop any more", where="--resume"))
        return loop.number
    number = max(int(around.clock()), ledger.last_loop_number() + 1)
    # What was found is what the loop is made for: resumed without its GPUs it is refused, and never runs on the CPU.
    call = replace(call, device=prepared.slots.value[0].device.value)
    requests = Requests(prepared=prepared, around=around, loop=number)
    leads: list[Lead] = []
    with ledger.transaction():
        ledger.open_loop(study, number, call.flags(secrets_of(around.env)))
        for name, file, config in first_jobs(prepared, around):
            origin = ledger.origin_of(config.fingerprint) or Origin()
            job = NewJob(
                study=study,
                loop=number,
                round=1,
                name=name,
                cfg_file=file,
                config=config,
                output_dir=requests.output_dir(name),
                origin=origin,
            )
            leads.append(Lead(id=ledger.add_job(job), job=job))
        _queue_repeats(leads, prepared, ledger, requests)
    return number


def _queue_repeats(leads: list[Lead], prepared: Prepared, ledger: Ledger, requests: Requests) -> None:
    """The first round's configs under their further seeds, behind all of the first ones."""
    if prepared.call.repeats == 1 or prepared.seed is None:
        return
    around = requests.around
    seeding = Seeding(
        at=prepared.seed,
        write_variant=lambda *variant: variant_beside(around.root, *variant, fault=around.fault),
        output_dir_of=requests.output_dir,
    )
    for lead in leads:
        seeds = seeds_of(lead.job.config, prepared.call.repeats, prepared.seed)[1:]
        for job in repeats_of(lead, seeds, seeding, ledger.reading.outcomes(requests.loop)):
            ledger.add_job(job)


def first_jobs(prepared: Prepared, around: Surroundings) -> list[tuple[str, str, Config]]:
    """Name, config file (relative to the project) and config of each job of the first round."""
    jobs: list[tuple[str, str, Config]] = []
    for loaded in prepared.configs:
        name = free_name(loaded.path.stem, [taken for taken, _, _ in jobs])
        jobs.append((name, shown(loaded.path, around.root), loaded.config))
    return jobs
