"""The steps from inputs to clips."""
