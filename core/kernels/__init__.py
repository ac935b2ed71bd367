"""Triton kernels for what torch does not fuse, each beside the torch code that says what it computes."""
