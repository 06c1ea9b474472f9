"""Where one shot ends and the next begins: signals of each frame, detectors, one timeline."""
