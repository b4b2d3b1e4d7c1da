"""The tests; a package, so that `python -m tests.…` means this folder and none that a dependency brought along."""
