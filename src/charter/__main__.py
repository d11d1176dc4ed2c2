"""`python -m charter`: the command line."""

from charter.cli import main

if __name__ == "__main__":
    main()
