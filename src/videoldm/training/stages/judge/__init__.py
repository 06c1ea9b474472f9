"""The stage of the feature network that judges generated clips."""
