"""Driver side of Backprompt: code about tables."""
