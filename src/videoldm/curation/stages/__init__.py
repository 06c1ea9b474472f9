"""Stages of a run, each a function of a task that an executor carries out, and what becomes of the results."""
