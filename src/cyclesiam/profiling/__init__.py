"""What a step of tracking costs, part by part."""
