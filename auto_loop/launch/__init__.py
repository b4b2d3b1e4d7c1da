"""Turn a job and a slot into a process, and watch it."""
