"""Producers of conditions: each turns inputs into one field of a Conditioning."""
