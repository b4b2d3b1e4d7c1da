"""Turn a study's history into the round report."""
