"""Executors, which carry out tasks in worker processes on this machine or on a Ray cluster."""
