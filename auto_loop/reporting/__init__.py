"""The round report: a study's history as a value, and that value as Markdown and as JSON."""
