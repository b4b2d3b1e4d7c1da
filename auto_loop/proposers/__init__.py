"""Where proposals come from, and the panel that judges them."""
