"""Generation of clips, shared by the command line, the web, evaluation and Python."""
