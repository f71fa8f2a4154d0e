"""Cleaning of one document's text: what web pages leave around it, faults of encoding, personal data, and measures."""
