"""What the published files of each kind look like: names of tensors, configurations, folders."""
