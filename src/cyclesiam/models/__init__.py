"""Networks: backbones, correlation, heads, and weights on disk."""
