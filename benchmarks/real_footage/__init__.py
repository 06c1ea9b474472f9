"""Footage from real pixels with known shot changes, and detectors measured on it."""
