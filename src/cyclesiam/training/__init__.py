"""Learning without labels: the cycle, its labels and losses, the loop and its recipes."""
