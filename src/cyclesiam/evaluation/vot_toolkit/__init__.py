"""Trackers inside of the official VOT toolkit."""
