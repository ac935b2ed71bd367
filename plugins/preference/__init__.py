"""Learning from rankings."""
