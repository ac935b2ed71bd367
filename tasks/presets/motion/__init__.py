"""Rows of the shipped motion tasks."""
