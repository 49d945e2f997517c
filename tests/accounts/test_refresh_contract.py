"""The fake token endpoint, held to what a real one does: see tests/peers/test_oauth.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate

import pytest

from edgebotd.accounts.http import Call
from edgebotd.accounts.secrets import Login
from edgebotd.config import OAuthSettings
from tests.accounts.provider import FakeProvider, clock, oauth
from tests.accounts.refresh_contract import Fault, RefreshContract


@dataclass
class FakePeer:
    provider: FakeProvider = field(default_factory=FakeProvider)

    @property
    def call(self) -> Call:
        return self.provider.call

    @property
    def settings(self) -> OAuthSettings:
        return oauth()

    async def logins(self, count: int) -> list[Login]:
        return [self.provider.login() for _ in range(count)]

    async def fault(self, fault: Fault) -> None:
        self.provider.retry_after = "2"
        self.provider.faults.append("lost" if fault == "lost" else int(fault))

    async def skew(self, ms: int) -> None:
        self.provider.date = formatdate((clock() + ms) / 1000, usegmt=True)

    async def newest(self, login: Login) -> bool:
        return self.provider.newest(login)

    async def works(self, access: str) -> bool:
        return self.provider.works(access)

    async def revoke(self, login: Login) -> None:
        self.provider.revoke(login)

    async def asked(self) -> int:
        return len(self.provider.asked) + 0


@pytest.mark.usefixtures("autojump_clock")
class TestFake(RefreshContract):
    @pytest.fixture
    def peer(self) -> FakePeer:
        return FakePeer()
