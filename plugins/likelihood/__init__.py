"""Losses of a likelihood: cross-entropy, squared error, CTC."""
