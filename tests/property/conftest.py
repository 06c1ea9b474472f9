from hypothesis import settings

# No deadline: the first call of each function also pays for its shape checks. Derandomised: a run can be repeated.
settings.register_profile("videoldm", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("videoldm")
