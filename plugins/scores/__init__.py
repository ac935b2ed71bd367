"""Metrics over raw values."""
