"""Read what a run logged, whoever started it, into series."""
