"""Datasets as training reads them: tables, clips, and the order in which they are visited."""
