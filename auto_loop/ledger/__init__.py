"""The truth: jobs, attempts, decisions and requests in one SQLite file."""
