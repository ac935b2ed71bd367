"""Rows of the shipped audio tasks."""
