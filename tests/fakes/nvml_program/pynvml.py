"""The fake NVML under the real one's name, for a subprocess; see `tests/fakes/nvml.py`.

It runs that file under this module's name, as `tests` need not be importable where a supervisor runs.
"""

from pathlib import Path

_FILE = Path(__file__).parents[1] / "nvml.py"
exec(compile(_FILE.read_text(encoding="utf-8"), _FILE, "exec"))  # noqa: S102 (our own file, under another name)
