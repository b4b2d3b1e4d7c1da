"""Where a call's own files are: as its options name them, else in the project's layout."""

from pathlib import Path

from auto_loop.assembly.redraw import ReportFiles
from auto_loop.assembly.surroundings import Surroundings
from auto_loop.domain.call import AutorunCall


def shown(file: Path, root: Path) -> str:
    """A file as it is named in the project: relative to its folder, if it lies below."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def ledger_file(call: AutorunCall, around: Surroundings) -> Path:
    """The ledger: as asked, else the project's."""
    return around.root / call.ledger if call.ledger else around.layout.ledger_file


def pid_file(call: AutorunCall, around: Surroundings) -> Path | None:
    """Where the supervisor's pid is kept, if anywhere."""
    return around.root / call.pid_file if call.pid_file else None


def report_files(call: AutorunCall, study: str, around: Surroundings) -> ReportFiles:
    """Where the study's report goes."""
    markdown = around.root / call.markdown_out if call.markdown_out else around.layout.report_file(study)
    return ReportFiles(ledger=ledger_file(call, around), markdown=markdown, summary=around.root / call.summary_out)
