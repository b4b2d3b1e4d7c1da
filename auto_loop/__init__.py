"""Runs training jobs on GPUs round after round: propose, run, measure, decide."""
