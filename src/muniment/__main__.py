"""Run the command line with ``python -m muniment``."""

from muniment.cli import main

main()
