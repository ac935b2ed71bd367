"""Balancing the losses of many tasks: by their uncertainty, or by the size of their gradients."""
