"""Decide by rules what to change: packs, conditions, the engine."""
