"""How a tracker is run on a sequence: one pass, with resets, with masks."""
