"""ACT with unbalanced optimal transport: the reference workload."""
