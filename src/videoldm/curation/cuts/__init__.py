"""Shot boundaries: signals of each frame, detectors, and one timeline."""
