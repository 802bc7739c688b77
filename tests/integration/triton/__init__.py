"""A real Triton server, and engines on it."""
