"""Corpora that hold pairs, instruction and output: a module a format, from a line or file to records."""
