"""The tests; a package, so that `python -m tests.…` means this folder and no other one that a dependency brought along."""
