"""`python -m medreg` is `medreg`."""

from medreg.cli.main import main

if __name__ == "__main__":
    main()
