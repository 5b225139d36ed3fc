"""`python -m critnlp` is the command line."""

from critnlp.cli import main

main()
