"""Build the source archive and the wheel, and check that they are whole: `python -m tests.packages`."""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def package_files(root: Path) -> set[str]:
    """Name the files of the package as they stand in the checkout, relative to `root`."""
    return {
        path.relative_to(root).as_posix()
        for path in (root / "edgebotd").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def faults_of_wheel(wheel: Path, expected: set[str]) -> Iterator[str]:
    """Say in words what the wheel lacks or has too much."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = {name.rpartition("/")[2]: archive.read(name).decode() for name in names if ".dist-info/" in name}
    for name in sorted(expected - names):
        yield f"{wheel.name} lacks {name}"
    for name in sorted(names - expected):
        if ".dist-info/" not in name:
            yield f"{wheel.name} holds {name}, which is not part of the package"
    if "edgebotd = edgebotd.__main__:main" not in metadata.get("entry_points.txt", ""):
        yield f"{wheel.name} has no command `edgebotd`"
    if "LICENSE" not in metadata:
        yield f"{wheel.name} lacks the licence"


def faults_of_source_archive(archive: Path, expected: set[str]) -> Iterator[str]:
    """Say in words what the source archive lacks."""
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for name in sorted((expected | {"pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "dev"}) - names):
        yield f"{archive.name} lacks {name}"


def main() -> int:
    """Build both into a temporary directory; the exit status is 1 with any fault."""
    with tempfile.TemporaryDirectory() as directory:
        # Without isolation: the build backend is in the locked packages, and a check must not download another one.
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, str(ROOT)]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode != 0:
            sys.stderr.write(built.stdout + built.stderr)
            return 1
        expected = package_files(ROOT)
        [wheel] = Path(directory).glob("*.whl")
        [source] = Path(directory).glob("*.tar.gz")
        faults = [*faults_of_wheel(wheel, expected), *faults_of_source_archive(source, expected)]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
