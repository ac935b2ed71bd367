"""Learning from rewards, and the rewards."""
