"""An output folder of the user's own, given among the trainer's arguments in place of the one that we choose."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from auto_loop.domain.errors import Fault
from auto_loop.launch.checks import output_faults
from auto_loop.launch.profile import Profile


def take_output_dir(extra: Sequence[str], profile: Profile) -> tuple[str, tuple[str, ...]]:
    """The folder that `extra` names for the trainer's output ("" when it names none), and the other words.

    The last one wins, as it would with the trainer. Taken out because the loop must look where the trainer writes.
    """
    words, folder, kept = iter(extra), "", list[str]()
    for word in words:
        name, given, value = word.partition("=")
        if name.lstrip("-+") not in profile.output_dir:
            kept.append(word)
        elif given:
            folder = value
        elif name.startswith("--"):
            folder = next(words, "")
        else:
            kept.append(word)
    return folder, tuple(kept)


def own_output_faults(folder: str, jobs: int, root: Path) -> Iterator[Fault]:
    """What speaks against running `jobs` jobs (of all rounds, as far as is known) in this one folder."""
    if not folder:
        return
    yield from output_faults((folder,), root)
    if jobs > 1:
        hint = "leave it out, or run one job; --output-root moves all of them"
        yield Fault(what="several jobs would write into this one output folder", where=folder, hint=hint)
