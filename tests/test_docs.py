"""What stands in the documents is what the program does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_the_generated_documents_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@cache
def named_tests(file: str) -> dict[str, str]:
    """Return the tests of a file by name, each with all of its text."""
    source = (ROOT / file).read_text()
    module = ast.parse(source)
    about = ast.get_docstring(module) or ""
    return {
        node.name: about + (ast.get_source_segment(source, node) or "")
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def rules() -> dict[str, list[tuple[str, str]]]:
    """Return the rows of the contract's last table: rule -> (file, test)."""
    table = (ROOT / "docs" / "channel.md").read_text().partition("\n## 6.")[2]
    found: dict[str, list[tuple[str, str]]] = {}
    for rule, cell in re.findall(r"^\| ([^|]+?) \| (`tests/.*) \|$", table, re.MULTILINE):
        for part in cell.split("; "):
            file, names = part.split(": ")
            found.setdefault(rule, []).extend((file.strip("`"), name.strip("`")) for name in names.split(", "))
    return found


def test_each_rule_of_the_channel_has_a_row_in_its_table_of_tests() -> None:
    contract = (ROOT / "docs" / "channel.md").read_text().partition("\n## 6.")[0]
    numbers = set(re.findall(r"^(C\d+)\. ", contract, re.MULTILINE)) | set(
        re.findall(r"^\| (S\d+) \|", contract, re.MULTILINE)
    )
    assert len(numbers) == 17 + 22
    in_table = {rule for rule in rules() if re.fullmatch(r"[CS]\d+", rule)}
    assert in_table == numbers - {"C13"}  # the web client's


@pytest.mark.parametrize("rule", rules())
def test_each_test_that_the_channels_table_names_exists_and_names_its_rule(rule: str) -> None:
    for file, name in rules()[rule]:
        assert name in named_tests(file), f"{file} has no {name}"
    if re.fullmatch(r"[CS]\d+", rule):
        number = re.compile(rf"(?i)(?<![a-z0-9]){rule}(?![0-9])")
        assert any(number.search(named_tests(file)[name].replace("_", " ")) for file, name in rules()[rule]), rule
