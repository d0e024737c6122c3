"""What several tests make or need: `pythonpath` of pyproject.toml holds `tests`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the repository
