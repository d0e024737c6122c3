"""Networks outside of PyTorch: exported graphs, and the runtimes that run them."""
