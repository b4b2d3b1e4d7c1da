"""Next configs as files of the project, beside their parents' own."""

from collections.abc import Callable
from pathlib import Path

from auto_loop.assembly.named_files import shown
from auto_loop.domain.config import Config
from auto_loop.domain.edits import parse_edits
from auto_loop.workspace.configs import write_variant


def variant_beside(
    root: Path, file: str, base: Config, edits: tuple[str, ...], config: Config, *, fault: Callable[[str], None]
) -> Path:
    """Writes a next config beside its parent's file; its file as the project names it."""
    parent = root / file
    fault("before rename")
    made = write_variant(parent, config, parse_edits(edits), parent.parent, base_fingerprint=base.fingerprint)
    fault("after rename")
    return Path(shown(made, root))
