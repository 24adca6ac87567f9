"""``python -m diffplan``."""

from diffplan.cli.app import main

if __name__ == "__main__":
    main()
