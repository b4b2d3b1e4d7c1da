"""`python -m auto_loop.analyze_offline`: the newest runs below a folder in numbers, whoever started them."""

import sys
from pathlib import Path

if __name__ == "__main__" and not __package__:  # called by path: the folder above the package is not on sys.path yet
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from auto_loop.cli.analyze_offline import analyze_offline

if __name__ == "__main__":
    analyze_offline()
