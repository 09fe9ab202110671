"""`python -m gcl_core`."""

from gcl_core.cli import main

main()
