"""`python -m critnlp` is the command line."""

from critnlp.cli import main

if __name__ == "__main__":
    main()
