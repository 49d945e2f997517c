"""How a run of all tests is shared out, without and with the processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import scheduling
from tests.scheduling import AHEAD, TwoProcesses, units

CHECKOUT = Path(__file__).parent.parent
NOTES = {
    "engines": ["tests/peers/test_a.py", "tests/browser/test_ship.py"],
    "quiet": ["tests/web/test_w.py::test_fast"],
}
IDS = [
    *(f"tests/browser/test_page.py::test_{number}" for number in range(5)),
    "tests/browser/test_ship.py::test_0",
    *(f"tests/hub/test_h.py::test_{number}" for number in range(4)),
    *(f"tests/peers/test_a.py::test_{number}" for number in range(6)),
    "tests/web/test_w.py::test_0",
    "tests/web/test_w.py::test_fast",
    "tests/web/test_w.py::test_1",
]


class Worker:
    """A process as pytest-xdist has it: it runs a test when it knows the one after it, or that there is none."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self._shutting_down = False

    @property
    def shutting_down(self) -> bool:
        return self._shutting_down

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        assert not self.shutting_down
        self.queue += indices

    def shutdown(self) -> None:
        self._shutting_down = True


class Run:
    """Two processes; `ran` holds what was run by which of them, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ids: Sequence[str] = IDS) -> None:
        monkeypatch.setattr(scheduling, "told", lambda config: NOTES)
        config: Any = SimpleNamespace()
        self.ids = list(ids)
        self.share = TwoProcesses(config, 2)
        self.workers: list[Worker] = []
        self.ended: list[Worker] = []
        self.ran: list[tuple[Worker, str]] = []
        for _ in range(2):
            self.add()

    def add(self) -> Worker:
        worker = Worker()
        self.workers.append(worker)
        self.share.add_node(worker)
        self.share.add_node_collection(worker, self.ids)
        if self.share.collection_is_completed:
            self.share.schedule()
        return worker

    def step(self, worker: Worker) -> bool:
        """Have one run its next test, or end; tell whether it did."""
        if worker in self.ended:
            return False
        if len(worker.queue) > 1 or (worker.queue and worker.shutting_down):
            place = worker.queue.pop(0)
            self.ran.append((worker, self.ids[place]))
            self.share.mark_test_complete(worker, place)
            return True
        if not worker.queue and worker.shutting_down:
            self.ended.append(worker)
            assert self.share.remove_node(worker) is None
            return True
        return False

    def finish(self, *workers: Worker) -> None:
        while sum(self.step(worker) for worker in workers):
            pass

    def by(self, worker: Worker) -> list[str]:
        return [test for one, test in self.ran if one is worker]


def test_engines_are_one_unit_and_first_then_pages_and_what_promises_a_time_is_apart() -> None:
    loud, quiet = units(IDS, NOTES)
    assert [unit[0].removeprefix("tests/") for unit in loud] == [
        "browser/test_ship.py::test_0",
        "browser/test_page.py::test_0",
        "hub/test_h.py::test_0",
        "web/test_w.py::test_0",
    ]
    assert [len(unit) for unit in loud] == [7, 5, 4, 2]
    assert quiet == ["tests/web/test_w.py::test_fast"]


@pytest.mark.parametrize("slow", [0, 1])
def test_everything_runs_once_a_file_in_one_process_and_the_quiet_alone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    run = Run(monkeypatch)
    first, second = run.workers
    run.finish(run.workers[1 - slow])
    assert [run.share.has_pending, run.share.tests_finished] == [True, False]
    run.finish(first, second)
    assert sorted(test for _, test in run.ran) == sorted(IDS)
    assert [run.share.has_pending, run.share.tests_finished] == [False, True]
    # With the engines is who has ended when a time is measured.
    assert set(run.by(first)) >= {test for unit in units(IDS, NOTES)[0][:1] for test in unit}
    assert (run.by(second)[-1], run.ended) == ("tests/web/test_w.py::test_fast", [first, second])
    files = [{test.partition("::")[0] for test in run.by(worker)} for worker in (first, second)]
    assert files[0] & files[1] <= {"tests/web/test_w.py"}, "in which one test is quiet"


def test_a_process_has_few_tests_at_once() -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        run = Run(monkeypatch)
        while sum(run.step(worker) for worker in run.workers):
            assert all(len(worker.queue) <= AHEAD for worker in run.workers)


@pytest.mark.parametrize("after", range(20))
@pytest.mark.parametrize("who", [0, 1])
def test_a_process_that_dies_costs_the_test_in_which_it_died(
    monkeypatch: pytest.MonkeyPatch, after: int, who: int
) -> None:
    run = Run(monkeypatch)
    for _ in range(after):
        run.step(run.workers[0])
        run.step(run.workers[1])
    dying = run.workers[who]
    died_in = None
    if dying not in run.ended:
        run.ended.append(dying)
        died_in = run.share.remove_node(dying)
        assert died_in == (run.ids[dying.queue[0]] if dying.queue else None)
    run.add()
    run.finish(*run.workers)
    assert sorted([*(test for _, test in run.ran), *([died_in] if died_in else [])]) == sorted(IDS)
    assert run.share.tests_finished and len(run.ended) == 3


def test_nothing_is_quiet_or_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for ids in ([test for test in IDS if "fast" not in test], NOTES["quiet"], IDS[:1]):
        run = Run(monkeypatch, ids)
        run.finish(*run.workers)
        assert sorted(test for _, test in run.ran) == sorted(ids) and len(run.ended) == 2


SUITE = """
import os, time, pytest

def note(what):
    with open({log!r}, "a") as log:
        log.write(f"{{os.environ.get('PYTEST_XDIST_WORKER')}} {{what}}\\n")

@pytest.fixture(scope="session")
def engine():
    yield
    note("engine ended")

{mark}
@pytest.mark.parametrize("number", range(4))
def test_it({fixture}number, tmp_path):
    note(f"{{tmp_path.parent.name}} {{__name__}}")
    assert number != {wrong}
"""


SHIP = """
import pathlib, pytest, signal, threading
here = pathlib.Path(__file__).parent
interrupted = []

@pytest.fixture(scope="session")
def engine():
    yield
    (here / "ended").write_text(f"interrupted {len(interrupted)}")

def test_it(engine):
    def take(number, frame):
        interrupted.append(number)
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, take)
    (here / "up").write_text("up")
    threading.Event().wait()

def test_other():
    pass
"""


def whole(folder: Path, *arguments: str, wrong: int | None = None) -> tuple[int, str, list[str]]:
    """Run a small suite as `./dev test` runs ours; return its exit code, its last line, and what it noted."""
    log = folder / "log"
    log.touch()
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = .\nmarkers = quiet: x\n")
    for name, mark, fixture, fails in (
        ("page", "", "", None),
        ("quick", "@pytest.mark.quiet", "", wrong),
        ("ship", "", "engine, ", None),
    ):
        text = SUITE.format(log=str(log), mark=mark, fixture=fixture, wrong=fails)
        (folder / f"test_{name}.py").write_text(text)
    ended = begun(folder, *arguments)
    said, _ = ended.communicate(timeout=60)
    return ended.returncode, said.splitlines()[-1], log.read_text().splitlines()


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    # This process may be one of two itself.
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "xdist", "-p", "tests.scheduling", *arguments]
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, start_new_session=True, stdout=pipe, stderr=both
    )


def test_one_line_sums_it_all_and_the_exit_code_is_right(tmp_path: Path) -> None:
    code, last, notes = whole(tmp_path, "-n", "2")
    assert (code, re.sub(" in .*", "", last)) == (0, "12 passed")
    ended = [note.partition(" ")[2] for note in notes].index("engine ended")
    quick = [place for place, note in enumerate(notes) if note.endswith("test_quick")]
    assert quick == [9, 10, 11, 12] and ended < 9, notes
    assert {note.split()[0] for note in notes[:9]} == {"gw0", "gw1"}
    # The folder of temporary files has a short name: what is in it may be a socket.
    assert {note.split()[1] for note in notes} == {"0", "1", "engine"}


@pytest.mark.parametrize(
    ("arguments", "wrong", "code", "sum_"),
    [
        (["-n2"], 3, 1, "1 failed, 11 passed"),
        (["-n2", "-m", "not quiet"], None, 0, "8 passed"),
        (["-n2", "-m", "quiet and not quiet"], None, 5, "no tests ran"),
        (["-n2", "-x"], 1, 2, "1 failed, 9 passed"),
        (["-nauto", "-x", "-k", "quick"], 1, 1, "1 failed, 1 passed, 8 deselected"),
    ],
)
def test_other_ends(tmp_path: Path, arguments: list[str], wrong: int | None, code: int, sum_: str) -> None:
    ended, last, _ = whole(tmp_path, *arguments, wrong=wrong)
    assert (ended, re.sub(" in .*", "", last)) == (code, sum_)


@pytest.mark.parametrize("how", ["Ctrl-C", "its own signal"])
def test_an_interruption_reaches_both_once_and_is_waited_for(tmp_path: Path, how: str) -> None:
    (tmp_path / "test_ship.py").write_text(SHIP)
    os.mkfifo(tmp_path / "up")
    run = begun(tmp_path, "-n", "2", "test_ship.py")
    assert (tmp_path / "up").read_text() == "up"
    (os.killpg if how == "Ctrl-C" else os.kill)(run.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in run.communicate(timeout=60)[0]
    assert run.returncode == 2
    assert (tmp_path / "ended").read_text() == "interrupted 1"


def test_different_tests_are_an_error_and_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "test_odd.py").write_text(
        "import os, pytest\n@pytest.mark.parametrize('pid', [os.getpid()])\ndef test_it(pid): pass\n"
    )
    run = begun(tmp_path, "-n", "2", "test_odd.py")
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 1 and "found different tests" in said and "1 error in" in said
    assert "KeyboardInterrupt" not in said


def test_each_file_of_engines_is_told_by_the_processes(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """What is written down is what the units are made of."""
    item: Any = SimpleNamespace(
        nodeid="tests/browser/test_ship.py::test_0", fixturenames=["engine"], get_closest_marker=lambda name: None
    )
    quiet: Any = SimpleNamespace(
        nodeid="tests/web/test_w.py::test_1", fixturenames=[], get_closest_marker=lambda name: name == "quiet"
    )
    session: Any = SimpleNamespace(
        items=[item, quiet], config=SimpleNamespace(workerinput={"edgebotd_told": str(tmp_path / "gw0")})
    )
    scheduling.pytest_collection_finish(session)
    assert json.loads((tmp_path / "gw0.json").read_text()) == {
        "engines": ["tests/browser/test_ship.py"],
        "quiet": ["tests/web/test_w.py::test_1"],
    }
