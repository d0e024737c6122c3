"""A Siamese object tracker that learns from unlabelled video."""
