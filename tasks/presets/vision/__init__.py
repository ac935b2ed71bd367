"""Rows of the shipped vision tasks."""
