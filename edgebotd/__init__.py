"""edgebotd, the control daemon of self-hosted AI bots. Imports nothing, so that `--version` costs nothing."""

__version__ = "0.1.0.dev0"
