"""`python -m controller` is the installed script."""

from controller.cli import main

main()
