"""What core reaches: graphs, edits, capture, cost and files."""
