"""Networks without PyTorch's arithmetic: exported graphs, and what runs them."""
