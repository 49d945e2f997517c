"""The engine as tests have it is one, and leaves nothing behind: else what is seen with it means nothing."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.peers.engine import BOT, PLAIN, REMOTE, DockerEngine, running_engine
from tests.peers.install import PeerUnavailable
from tests.support import require_or_skip


def test_it_has_its_images_and_the_registry_has_more(engine: DockerEngine) -> None:
    tags = {tag for image in json.loads(engine.api("GET", "/images/json")) for tag in image["RepoTags"]}
    assert {BOT, PLAIN} <= tags
    assert f"{REMOTE}:2" not in tags
    said = json.loads(engine.api("GET", f"/distribution/{REMOTE}:2/json"))
    digest = said["Descriptor"]["digest"]
    engine.pull(f"{REMOTE}@{digest}")
    there = json.loads(engine.api("GET", f"/images/{REMOTE}@{digest}/json"))
    assert there["RepoDigests"] == [f"{REMOTE}@{digest}"]
    engine.api("DELETE", f"/images/{REMOTE}@{digest}")


@pytest.mark.heavy
def test_nothing_is_left_of_one_that_was_killed_with_a_container() -> None:
    try:
        with running_engine() as engine:
            engine.run("left-behind")
            engine.kill()
            folder, cgroup = engine.folder, engine.cgroup
    except PeerUnavailable as error:
        require_or_skip(str(error))
    assert not folder.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert str(folder) not in subprocess.run(["ps", "axww"], check=True, capture_output=True, text=True).stdout
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{cgroup}"))
