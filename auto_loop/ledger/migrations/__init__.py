"""Every schema that came after another, as the step that leads to it."""
