"""Diffusion: iterative denoising of values."""
