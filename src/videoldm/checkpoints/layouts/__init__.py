"""Layouts of published models: names of their tensors, configurations, files and folders."""
