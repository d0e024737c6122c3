"""Numbers by the official rules of benchmarks; nothing of files or trackers."""
