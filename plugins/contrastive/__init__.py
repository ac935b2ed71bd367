"""Matching both sides of an arrow."""
