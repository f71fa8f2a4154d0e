"""Classifiers of texts behind one small protocol."""
