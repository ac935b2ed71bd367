"""Rows of the shipped language tasks."""
