"""Trackers inside the official VOT toolkit."""
