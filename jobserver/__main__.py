"""The command line, as ``python -m jobserver``."""

from jobserver.cli import main

main()
