"""The whole run in two processes: which tests belong together, which go first, and which run with nothing beside them.

Files are the units, longest first. What runs real engines and gateways is one unit, in one process: those hold what
a machine has once, and a start of each costs many seconds. Tests that promise a time (marker `quiet`) come last, in
the one process that is left, when the other one has ended with all that it started.

A plugin of pytest, used by `tests/conftest.py`; the processes are pytest-xdist's.
"""

from __future__ import annotations

import json
import os
import signal
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

import pytest

PROCESSES: Final = 2
"""More would want more cores than two: a page's test keeps a browser, a daemon and a test busy."""
AHEAD: Final = 3
"""How many tests a process has at once: one that it runs, one whose fixtures it may keep for, one to go on with."""
ENGINE_FOLDER: Final = "tests/peers/"
ENGINE_FIXTURES: Final = {"engine", "gateways"}
"""The files that use them are of the same unit as that folder."""
LONG_FOLDER: Final = "tests/browser/"
ENGINES: Final = "engines"
QUIET: Final = "quiet"
END_SECONDS: Final = 120.0
"""Most that engines and gateways take to be ended and removed on a loaded machine."""
_TOLD: Final = "edgebotd_told"

_folder: Final = pytest.StashKey["TemporaryDirectory[str]"]()
_nodes: Final = pytest.StashKey[list[Any]]()


class Node(Protocol):
    """What of a `xdist.workermanage.WorkerController` is used here."""

    @property
    def shutting_down(self) -> bool:
        """Whether it takes no more tests."""
        ...

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Have it run tests, by their places in the collection. It keeps the last one until it knows what follows."""
        ...

    def shutdown(self) -> None:
        """Have it run what it has, and end."""
        ...


class TwoProcesses:
    """Who runs what; a scheduler as pytest-xdist calls them.

    A unit is given to one process, and its tests a few at a time: after a failure with `-x` no more of them follow.
    """

    def __init__(self, config: pytest.Config, processes: int) -> None:
        self._config = config
        self._processes = processes
        self._ids: list[str] = []
        self._collected: dict[Node, list[str]] = {}
        self._given: dict[Node, deque[str]] = {}
        """Of each that lives, the tests that it was given and has not done, in their order."""
        self._units: dict[Node, deque[str]] = {}
        """Of each that lives, what is left of its unit."""
        self._waiting: deque[list[str]] = deque()
        self._quiet: list[str] = []

    # What pytest-xdist asks

    @property
    def nodes(self) -> list[Node]:
        """Those that live."""
        return list(self._given)

    @property
    def collection_is_completed(self) -> bool:
        """Whether each has told which tests there are."""
        return len(self._collected) >= self._processes

    @property
    def has_pending(self) -> bool:
        """Whether a test was not run yet."""
        return self._more or any(self._given.values())

    @property
    def tests_finished(self) -> bool:
        """Whether nobody is to be given anything any more."""
        return self.collection_is_completed and not self._more

    @property
    def _more(self) -> bool:
        return bool(self._waiting or self._quiet or any(self._units.values()))

    # What pytest-xdist tells

    def add_node(self, node: Node) -> None:
        """Take a process in; it may be there in the place of another that died."""
        self._given[node] = deque()
        self._units[node] = deque()

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        """Note which tests a process has found."""
        self._collected[node] = list(collection)

    def schedule(self) -> None:
        """Begin, when all have found their tests; or go on, with one more process."""
        if not self._ids:
            first, *others = self._collected.values()
            if any(other != first for other in others):
                said = "The processes found different tests, or in another order: sort what `parametrize` is given."
                report = pytest.CollectReport("tests", "failed", said, [])
                self._config.hook.pytest_collectreport(report=report)
                return
            self._ids = first
            loud, self._quiet = units(first, told(self._config))
            self._waiting.extend(loud)
        self._feed()

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        """Note that a process is through with a test."""
        self._given[node].remove(self._ids[item_index])
        self._feed()

    def remove_node(self, node: Node) -> str | None:
        """Note that a process has ended; what it still had is another's. Return the test in which it died."""
        given, unit = self._given.pop(node), self._units.pop(node)
        died_in = given.popleft() if given else None
        if left := [*given, *unit]:
            self._waiting.appendleft(left)
        self._feed()
        return died_in

    def mark_test_pending(self, item: str) -> None:
        """Refuse: nothing runs twice."""
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        """Refuse: nothing is taken back."""
        raise NotImplementedError

    def _feed(self) -> None:
        """Give each process what it runs next, or let it end."""
        ready = [node for node in self._given if node in self._collected and not node.shutting_down]
        for node in ready:
            # The first had the engines; they end before the last measures.
            is_last = node is ready[-1]
            while len(self._given[node]) < AHEAD:
                if not self._units[node]:
                    if self._waiting:
                        self._units[node].extend(self._waiting.popleft())
                    elif self._quiet and is_last:
                        if len(self._given) > 1:
                            break
                        self._units[node].extend(self._quiet)
                        self._quiet = []
                    else:
                        node.shutdown()
                        break
                test = self._units[node].popleft()
                self._given[node].append(test)
                node.send_runtest_some([self._ids.index(test)])


def units(ids: Iterable[str], notes: dict[str, list[str]]) -> tuple[list[list[str]], list[str]]:
    """Return the units in the order in which they begin, and those tests that have the machine for themselves.

    Args:
        ids: of all tests.
        notes: from `told`.
    """
    engines, quiet = set(notes[ENGINES]), set(notes[QUIET])
    found: dict[str, list[str]] = {}
    for test in ids:
        if test not in quiet:
            file = test.partition("::")[0]
            found.setdefault(ENGINES if file in engines else file, []).append(test)
    order = sorted(found, key=lambda unit: (unit != ENGINES, not unit.startswith(LONG_FOLDER)))
    return [found[unit] for unit in order], [test for test in ids if test in quiet]


def told(config: pytest.Config) -> dict[str, list[str]]:
    """Return the files that use engines and the tests that are quiet, of which the processes' ids say nothing."""
    notes: dict[str, list[str]] = json.loads(next(Path(config.stash[_folder].name).glob("*.json")).read_text())
    return notes


def is_whole(config: pytest.Config) -> bool:
    """Tell whether everything is run: a part of it is quicker, and easier to look at, in one process."""
    narrowed = ("keyword", "lf", "failedfirst", "newfirst", "stepwise", "collectonly", "usepdb", "trace")
    everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return everything and not any(config.getoption(name, None) for name in narrowed)


# The hooks. Those of pytest-xdist are optional: without it there is one process.


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """What `-n auto` means, which `./dev test` says."""
    cores = len(os.sched_getaffinity(0))
    return PROCESSES if cores > 1 and is_whole(config) else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> TwoProcesses | None:
    """Another `--dist` is what was asked for."""
    return TwoProcesses(config, len(config.option.tx)) if config.option.dist == "load" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the process that distributes: say where the others may write down what they found."""
    stash = node.config.stash
    if _folder not in stash:
        stash[_folder] = folder = TemporaryDirectory(prefix="edgebotd-tests-")
        node.config.add_cleanup(folder.cleanup)
    node.workerinput[_TOLD] = f"{stash[_folder].name}/{node.workerinput['workerid']}"
    stash.setdefault(_nodes, []).append(node)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the process that distributes: wait for the others, to which an interruption is passed on once.

    pytest-xdist kills them after ten seconds, and what they started would stay.
    """
    living = [node for node in session.config.stash.get(_nodes, []) if not node.channel.isclosed()]
    for node in living:
        # With what it tells at its end, its fixtures have ended.
        if not hasattr(node, "workeroutput"):
            with suppress(OSError, ValueError):
                os.kill(int(Path(f"{node.workerinput[_TOLD]}.pid").read_text()), signal.SIGINT)
    for node in living:
        with suppress(OSError, EOFError, node.channel.RemoteError):
            node.channel.waitclose(END_SECONDS)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """In each of the two: a folder for temporary files with a short name, for the paths of sockets in it.

    And a session of its own: Ctrl-C is for the process that distributes, and a second one would break off the cleaning.
    """
    if (own := _worker(config)) is None or _TOLD not in own:
        return
    os.setsid()
    Path(f"{own[_TOLD]}.pid").write_text(f"{os.getpid()}")
    if config.option.basetemp:
        config.option.basetemp = str(Path(config.option.basetemp).with_name(own["workerid"].removeprefix("gw")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """In each of the two: write down what the ids of the tests do not say."""
    if (own := _worker(session.config)) is None or _TOLD not in own:
        return
    engines, quiet = set(), []
    for item in session.items:
        file = item.nodeid.partition("::")[0]
        if item.get_closest_marker(QUIET):
            quiet.append(item.nodeid)
        elif file.startswith(ENGINE_FOLDER) or ENGINE_FIXTURES & set(getattr(item, "fixturenames", ())):
            engines.add(file)
    Path(f"{own[_TOLD]}.json").write_text(json.dumps({ENGINES: sorted(engines), QUIET: quiet}))


def _worker(config: pytest.Config) -> dict[str, Any] | None:
    """Return what one of the two was told; None in the process that distributes, or where there is one only."""
    own: dict[str, Any] | None = getattr(config, "workerinput", None)
    return own
