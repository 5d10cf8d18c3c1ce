"""`python -m inferd` is `inferd`."""

from inferd.cli import main

if __name__ == "__main__":
    main()
