"""The program `inferd`, and `python -m inferd`. Imports the command line inside `main`, so that Ctrl-C ends that, too."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from inferd.cli import main as run_command  # noqa: PLC0415 - see above

        run_command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
