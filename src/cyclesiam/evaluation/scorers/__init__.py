"""From raw results to the scores of a benchmark."""
