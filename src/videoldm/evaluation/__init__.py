"""Evaluation of the system: its speed beside others, protocols and reports."""
