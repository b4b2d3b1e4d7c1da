"""The crash suite: nights of real processes whose supervisor is killed, and the books that are kept of them."""
