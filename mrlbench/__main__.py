"""Run the command line as `python -m mrlbench`."""

from mrlbench.cli import main

main()
