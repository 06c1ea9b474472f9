"""A small video network whose features and judgements stand in for large pretrained ones on mini results."""
