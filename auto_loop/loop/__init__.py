"""The loop itself: a pure plan, and the driver that carries it out."""
