"""``python -m mlstats`` is the command ``mlstats``."""

from mlstats.cli import main

if __name__ == "__main__":
    main()
