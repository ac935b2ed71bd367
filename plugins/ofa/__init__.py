"""The encoder-decoder backbone."""
