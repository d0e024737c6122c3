"""Speed of tracking, by stages."""
