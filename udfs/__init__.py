"""Executor side of Backprompt: code about rows and batches. Arrow in, Arrow out, no Spark session."""
