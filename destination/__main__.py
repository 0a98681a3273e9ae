"""`python -m destination` is `destination`."""

from destination.cli import main

main()
