"""Write what in docs/ is generated from the code, or with `--check` say what is stale (exit 1).

Run as `.venv/bin/python docs/generate.py [--check]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # this checkout's package, installed or not

from edgebotd.events import catalogue_schema  # noqa: E402


def documents() -> dict[Path, str]:
    """Return each generated file with its content as of the code."""
    return {HERE / "events.schema.json": json.dumps(catalogue_schema(), indent=1, sort_keys=True) + "\n"}


def main() -> int:
    """Write, or check, each generated file."""
    check = sys.argv[1:] == ["--check"]
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            sys.stderr.write(f"{path.name} is stale: run python docs/generate.py\n")
        else:
            path.write_text(documents()[path])
            sys.stdout.write(f"wrote {path.name}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
