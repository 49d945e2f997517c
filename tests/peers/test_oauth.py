"""The refresher against a real OAuth server that rotates, looks for reuse, and fails on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgebotd.accounts.http import Call, Caller
from edgebotd.accounts.secrets import Login
from edgebotd.config import OAuthSettings
from tests.accounts.provider import oauth
from tests.accounts.refresh_contract import Fault, RefreshContract
from tests.peers.oauth import OAuthServer


@dataclass
class RealPeer:
    server: OAuthServer

    @property
    def call(self) -> Call:
        return Caller().call

    @property
    def settings(self) -> OAuthSettings:
        return oauth(self.server.token_url)

    async def logins(self, count: int) -> list[Login]:
        return await self.server.logins(count)

    async def fault(self, fault: Fault) -> None:
        if fault == "lost":
            await self.server.fault(drop=1)
        else:
            await self.server.fault(status=int(fault), times=1, retryAfter=2)

    async def skew(self, ms: int) -> None:
        await self.server.fault(skewMs=ms)

    async def newest(self, login: Login) -> bool:
        return await self.server.newest(login)

    async def works(self, access: str) -> bool:
        return await self.server.works(access)

    async def revoke(self, login: Login) -> None:
        await self.server.revoke(login)

    async def asked(self) -> int:
        return await self.server.count()


class TestReal(RefreshContract):
    @pytest.fixture
    def peer(self, oauth_server: OAuthServer) -> RealPeer:
        return RealPeer(oauth_server)
