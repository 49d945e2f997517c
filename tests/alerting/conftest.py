"""Fewer looks: a night of virtual time has thousands of them."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebotd.alerting.delivery.LOOK_SECONDS", 600.0)
    monkeypatch.setattr("edgebotd.alerting.delivery.LONGEST_WAIT", 600.0)
