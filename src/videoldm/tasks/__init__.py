"""What a model can do: one file a task, its conditioning shared by training and sampling."""
