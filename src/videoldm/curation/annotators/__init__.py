"""Annotators, which derive values from the kept frames of a clip: one file each, with its config."""
