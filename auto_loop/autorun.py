"""`python -m auto_loop.autorun`: the main loop."""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:  # called by path: the folder above the package is not on sys.path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from auto_loop.cli.autorun import autorun

if __name__ == "__main__":
    autorun()
