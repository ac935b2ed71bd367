"""Depth maps for omniline."""
