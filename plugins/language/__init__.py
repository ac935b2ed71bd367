"""Text and what is written as text."""
