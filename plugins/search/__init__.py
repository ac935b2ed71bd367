"""Decoders that search: greedy, sampling, beam, and the scoring of closed sets."""
