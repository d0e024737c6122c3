"""Scores of trackers on footage without labels."""
