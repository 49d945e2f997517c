"""The libraries of the page: `python -m tests.ui.vendor` verifies them, with `--write` it fetches them anew from npm.

`edgebotd/web/ui/vendor/vendor.json` says what is vendored. A package is named with its version, npm's own checksum of
the archive (`integrity`) and its licence; each file with where it comes from and its SHA-256 as it stands here. A file
is what the package has, but for two things: bare names of imports become relative ones, because a browser without an
import map knows no others (and a map would have to stand inline, which the page's policy forbids), and a hint at a
source map that is not here goes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent.parent / "edgebotd" / "web" / "ui" / "vendor"
MANIFEST = HERE / "vendor.json"
_NPM_SECONDS = 300


def sha256(data: bytes) -> str:
    """Return the checksum as the manifest has it."""
    return hashlib.sha256(data).hexdigest()


def faults() -> Iterator[str]:
    """Say in words what differs between the manifest and the folder."""
    manifest = json.loads(MANIFEST.read_text())
    known = {MANIFEST.name}
    for package in manifest["packages"]:
        for name, file in package["files"].items():
            known.add(name)
            path = HERE / name
            if not path.is_file():
                yield f"{name} is missing"
            elif sha256(path.read_bytes()) != file["sha256"]:
                yield f"{name} is not the file that was vendored of {package['name']} {package['version']}"
        if not any(name.startswith("LICENSE") for name in package["files"]):
            yield f"{package['name']} has no licence here"
    for path in sorted(HERE.rglob("*")):
        name = path.relative_to(HERE).as_posix()
        # What tells the type checker about a library is ours.
        if path.is_file() and name not in known and not name.endswith(".d.ts"):
            yield f"{name} is in no package of {MANIFEST.name}"


def adapted(data: bytes, imports: dict[str, str], append: str) -> bytes:
    """Return a package's file as it stands here."""
    text = data.decode()
    for bare, relative in imports.items():
        text = re.sub(rf'(\bfrom\s*|\bimport\s*)(["\']){re.escape(bare)}\2', rf"\1\2{relative}\2", text)
    text = re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text)
    return (text + append).encode()


def fetch(package: dict[str, Any]) -> dict[str, bytes]:
    """Return the files of a package's archive, after comparing it with its checksum."""
    wanted = f"{package['name']}@{package['version']}"
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", wanted, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, cwd=folder, capture_output=True, timeout=_NPM_SECONDS)
        [archive] = Path(folder).glob("*.tgz")
        data = archive.read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if package.setdefault("integrity", integrity) != integrity:
        raise SystemExit(f"{wanted}: the archive has {integrity}, {MANIFEST.name} expects {package['integrity']}")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for member in opened.getmembers():
            if (handle := opened.extractfile(member)) is not None:
                files[member.name.partition("/")[2]] = handle.read()
    return files


def write() -> None:
    """Fetch every package and write its files and their checksums."""
    manifest = json.loads(MANIFEST.read_text())
    for package in manifest["packages"]:
        there = fetch(package)
        for name, file in package["files"].items():
            data = there[file["from"]]
            if name.endswith(".js"):
                data = adapted(data, file.get("imports", {}), file.get("append", ""))
            (HERE / name).parent.mkdir(parents=True, exist_ok=True)
            (HERE / name).write_bytes(data)
            file["sha256"] = sha256(data)
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")


def main() -> int:
    """Write, or verify: the exit status is 1 with any fault."""
    if sys.argv[1:] == ["--write"]:
        write()
    found = list(faults())
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
