"""Entry of `edgebotd` and `python -m edgebotd`."""

import sys

from edgebotd import __version__


def main() -> None:
    """Run the command line; `--version` is answered before anything of the stack is imported."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"edgebotd {__version__}\n")
        return
    from edgebotd.cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
