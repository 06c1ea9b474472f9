"""Measuring what the system makes and how fast: protocols and reports."""
