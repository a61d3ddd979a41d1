"""How hypothesis runs: the same examples on every machine; `pytest --hypothesis-profile=deep` looks for new ones."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("deep", deadline=None, max_examples=2_000, print_blob=True)

# Unless the command line has chosen: "default" and, where CI is set, "ci" are what hypothesis begins with.
if settings.get_current_profile_name() in ("default", "ci"):
    settings.load_profile("steady")
