"""Rows of the shipped video tasks."""
