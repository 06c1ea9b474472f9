"""Fitting of the judges of shot changes."""
