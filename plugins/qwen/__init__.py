"""The decoder-only backbones."""
