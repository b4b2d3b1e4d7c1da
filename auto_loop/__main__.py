"""`python -m auto_loop VERB`."""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:  # called by path: the folder above the package is not on sys.path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from auto_loop.cli.main import main

if __name__ == "__main__":
    main(prog_name="auto-loop")
