"""A job's lineage: the jobs it descends from, each with what it changed and how far that went."""

from auto_loop.reporting.effect_text import spread
from auto_loop.reporting.job_report import JobReport
from auto_loop.reporting.markdown import code, cut
from auto_loop.reporting.told import Report

# Links told at either end of a longer chain.
FIRST, LAST = 1, 5


def lineage(job: JobReport, report: Report) -> list[JobReport]:
    """The job's ancestors, oldest first, and the job itself."""
    chain, seen = [job], {job.id}
    while chain[-1].parent is not None and chain[-1].parent not in seen:
        parent = report.job(chain[-1].parent)
        if parent is None:
            break
        chain.append(parent)
        seen.add(parent.id)
    return chain[::-1]


def numbers(job: JobReport, report: Report) -> str:
    """`job 1 → job 6 → job 12`, nothing for a job without a grandparent: its parent is told anyway."""
    chain = lineage(job, report)
    links = [f"job {each.id}{' (remedy)' if each.remedy_of is not None else ''}" for each in chain]
    return _joined(links) if len(chain) > 2 else ""


def how_it_came_about(job: JobReport, report: Report) -> str:
    """Each link with its edits and its main metric; nothing for a job that changed nothing."""
    chain = lineage(job, report)
    if not job.changes:
        return ""
    root = chain[0]
    before = f"job {root.parent}" if root.parent is not None else code(root.parent_cfg)
    return _joined([*([before] if before else []), *(_link(each, report) for each in chain)])


def _link(job: JobReport, report: Report) -> str:
    told = [code(cut(change, 80)) for change in job.changes] or [code(job.name)]
    cell = report.cells.get(job.id)
    value = f": {spread(cell)}" if cell and cell.mean is not None else ""
    kind = "remedy: " if job.remedy_of is not None else "after a live rule: " if job.fork_of is not None else ""
    return f"job {job.id} ({kind}{', '.join(told)}){value}"


def _joined(links: list[str]) -> str:
    left_out = len(links) - FIRST - LAST
    if left_out > 1:
        links = [*links[:FIRST], f"{left_out} more", *links[-LAST:]]
    return " → ".join(links)
