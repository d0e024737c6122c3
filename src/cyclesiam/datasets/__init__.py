"""Readers of benchmarks, and the policy that says which labels may be read."""
