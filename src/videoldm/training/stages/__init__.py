"""What is trained: one file a stage, each an objective for the loop."""
