"""Trackers that can be evaluated: ours, OpenCV's, anyone's."""
