"""What people look at while a model trains, and what they get with it."""
