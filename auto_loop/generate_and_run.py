"""`python -m auto_loop.generate_and_run`: one variant."""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:  # called by path: the folder above the package is not on sys.path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from auto_loop.cli.generate_and_run import generate_and_run

if __name__ == "__main__":
    generate_and_run()
