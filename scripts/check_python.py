"""Whether this Python can make the project's environment; `make setup` asks, and shows the remedy when it cannot.

Written for any Python 3, because an old one has to be able to say that it is too old.
"""

import importlib.util
import sys

TOO_OLD = """\
{path} is Python {version}; this project needs Python 3.11 or newer.
If a newer one is installed under another name, say so: make PYTHON=python3.13 ...
"""

NO_ENSUREPIP = """\
{path} (Python {version}) cannot make a virtual environment: its module `ensurepip` is missing.
On Debian and Ubuntu: apt-get install python3-venv
"""


def find_remedy() -> "str | None":
    """What a person has to do; nothing when all is well."""
    if sys.version_info[:2] < (3, 11):  # noqa: UP036 - the one file that an older Python runs
        return TOO_OLD
    return None if importlib.util.find_spec("ensurepip") else NO_ENSUREPIP


if __name__ == "__main__":
    remedy = find_remedy()
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(remedy and remedy.format(path=sys.executable, version=version))
