"""The memory that a clip takes: forecast, measured, and reduced."""
