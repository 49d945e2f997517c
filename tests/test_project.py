"""Checks of the project itself: sizes, names that must not be committed, and what an import costs."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgebotd

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "edgebotd"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
# What a dependency of a quick command must not pull in: each costs a tenth of a second and more.
STACK = {"trio", "quart", "quart_trio", "hypercorn", "pydantic", "httpx2", "click", "sqlite3", "asyncio"}
# Registries and paths belong to a machine and its configuration. Spelled so that this file does not find itself.
FORBIDDEN = {
    "the host of a package registry": (
        r"py[p]i\.org|pythonhost[e]d\.org|registry\.(n[p]mjs|yarn[p]kg)\.|--(extra-)?index-ur[l]|--find-link[s]"
    ),
    "a path of one machine": r"(?<![\w.*}/-])/(wor[k]|roo[t]|tm[p]/eb)(/|\b)",
    "an import hidden from the contract": r"__impor[t]__",
}


def committed_files() -> list[Path]:
    """List what git tracks, or everything that is not hidden or made where this is no checkout."""
    if shutil.which("git"):
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    made = re.compile(r"(^|/)(\.|__pycache__/|node_modules/)")
    return [p for p in ROOT.rglob("*") if p.is_file() and not made.search(p.relative_to(ROOT).as_posix())]


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_committed_files_do_not_hold(what: str) -> None:
    found = []
    for path in committed_files():
        if what == "an import hidden from the contract" and path.suffix != ".py":
            continue
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
            if re.search(FORBIDDEN[what], line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found, f"{what}:\n" + "\n".join(found)


def test_files_stay_small_enough_to_read() -> None:
    sizes = {path: path.read_bytes().count(b"\n") for path in MODULES}
    assert not {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MOST_LINES}


def test_each_module_says_what_it_is() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not [str(path.relative_to(ROOT)) for path in silent]


@pytest.mark.parametrize("name", [name_of(path) for path in MODULES])
def test_module_imports(name: str) -> None:
    importlib.import_module(name)


def test_every_module_has_a_floor_and_only_those_to_come_are_in_parentheses() -> None:
    [contract] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {name for name in floors if not name.startswith("(")} == there - {"__init__"}


def test_tests_of_one_name_do_not_hide_each_other() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_the_version_is_told_without_importing_the_stack() -> None:
    script = (
        "import sys; sys.argv[1:] = ['--version']\n"
        "from edgebotd.__main__ import main\n"
        "main()\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    version, modules = ended.stdout.splitlines()
    assert version == f"edgebotd {edgebotd.__version__}"
    assert not STACK & set(modules.split())


def test_the_version_is_the_modules_answer_too() -> None:
    command = [sys.executable, "-m", "edgebotd", "--version"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == f"edgebotd {edgebotd.__version__}\n"


def test_a_module_without_a_floor_breaks_the_contract(tmp_path: Path) -> None:
    package = tmp_path / "edgebotd"
    package.mkdir()
    (package / "__init__.py").touch()
    project = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(project)
    [contract] = tomllib.loads(project)["tool"]["importlinter"]["contracts"]
    for floor in re.findall(r"\w+", " ".join(contract["layers"])):
        (package / f"{floor}.py").touch()

    def lint() -> subprocess.CompletedProcess[str]:
        script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
        command = [sys.executable, "-c", script, "--no-logo", "--no-cache"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert lint().returncode == 0
    (package / "protocol.py").write_text("import edgebotd.errors\n")
    assert lint().returncode == 0
    (package / "errors.py").write_text("import edgebotd.protocol\n")
    (package / "protocol.py").write_text("")
    assert lint().returncode == 1
    (package / "errors.py").write_text("")
    (package / "newcomer.py").touch()
    broken = lint()
    assert broken.returncode == 1 and "newcomer" in broken.stdout


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_each_locked_package_has_a_version_and_hashes(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text().replace("\\\n", " ")
    packages = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(packages) > 20
    assert not [
        line[:60] for line in packages if not re.match(r"[a-z0-9.-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]


def test_the_dev_lock_holds_the_runtimes_versions() -> None:
    locks = {
        lock: set(re.findall(r"^[a-z0-9.-]+==[^ ]+", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE))
        for lock in ("runtime", "dev")
    }
    assert locks["runtime"] <= locks["dev"]
