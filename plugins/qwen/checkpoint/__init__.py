"""Folders of Hugging Face checkpoints, read and written without transformers."""
