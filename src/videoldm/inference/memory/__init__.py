"""How much memory a clip takes, before it is made and after, and what can be done with less."""
