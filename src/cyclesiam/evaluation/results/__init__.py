"""Raw results and scores on disk."""
