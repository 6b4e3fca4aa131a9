"""``python -m emtools`` is the command ``emtools``."""

from emtools.cli import main

if __name__ == "__main__":
    main()
