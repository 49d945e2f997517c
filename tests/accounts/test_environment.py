"""A bot's container gets a login's secret by reference: looked up when it is made, kept nowhere."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock

from edgebotd.accounts.cipher import Cipher, new_key
from edgebotd.accounts.house import open_accounts
from edgebotd.accounts.keeping import AddRequest, SecretRequest
from edgebotd.config import ProviderSettings
from edgebotd.docker.spec import STATE_PATH
from edgebotd.errors import Conflict, Invalid
from edgebotd.protocol.run import Verdict
from edgebotd.store.profiles import Profile
from tests.accounts.provider import ID, FakeProvider, clock, oauth
from tests.docker.test_recreate import recreate
from tests.docker.yard import begun, make, open_yard, texts

REFERENCE = {"ANTHROPIC_API_KEY": "profile:anthropic:work"}


async def test_a_bot_gets_what_its_login_has_when_it_is_made_and_made_anew(autojump_clock: MockClock) -> None:
    async with (
        open_yard() as yard,
        open_accounts(yard.database, {}, hub=yard.hub, cipher=Cipher(new_key()), now=yard.clock) as accounts,
    ):
        yard.profile_secret = accounts.secret_of
        async with yard.life() as docker:
            with pytest.raises(Conflict, match="no login 'anthropic:work'"):
                await begun(docker, secretEnvironment=REFERENCE)
            key = {"provider": "anthropic", "name": "work", "secret": "canary-first", "type": "token"}
            await accounts.keeping.add(AddRequest.model_validate(key))
            operation = await make(docker, secretEnvironment=REFERENCE)
            assert operation.state == "succeeded", operation.reason
            (container,) = yard.engine.all.values()
            assert "ANTHROPIC_API_KEY=canary-first" in container.body["Env"]
            stored = await yard.stored()
            assert stored is not None
            assert stored.spec["secret_environment"] == REFERENCE
            assert "canary" not in json.dumps([operation.request, operation.made, stored.spec])

            assert accounts.vault.bots_of("anthropic:work") == ()
            told: list[str] = []
            accounts.vault.subscribe(told.append)
            await accounts.vault.look_at_bots()
            await accounts.vault.look_at_bots()
            assert (accounts.vault.bots_of("anthropic:work"), told) == (("atlas",), ["anthropic:work"])

            secret = SecretRequest.model_validate({"secret": "canary-second", "expiresAt": yard.clock() + 600_000})
            await accounts.keeping.replace("anthropic:work", secret)
            assert (await recreate(docker)).state == "succeeded"
            (container,) = yard.engine.all.values()
            assert "ANTHROPIC_API_KEY=canary-second" in container.body["Env"]

            yard.clock.offset += 700_000
            failed = await recreate(docker)
            assert failed.state != "succeeded" and "has ended" in (failed.reason or "")
            (container,) = yard.engine.all.values()
            assert container.state == "running", "the one that was there goes on"


async def test_a_token_that_has_ended_is_refreshed_for_who_refers_to_it(autojump_clock: MockClock) -> None:
    acme = FakeProvider()
    providers = {"acme": ProviderSettings(oauth=oauth())}
    async with (
        open_yard() as yard,
        open_accounts(
            yard.database, providers, hub=yard.hub, cipher=Cipher(new_key()), now=clock, call=acme.call
        ) as accounts,
        trio.open_nursery() as nursery,
    ):
        ended = Profile(ID, "acme", "oauth", state="fresh", expires_at=clock() - 1000, lifetime_ms=3_600_000)
        first = acme.login()
        await accounts.vault.add(ended, first)
        nursery.start_soon(accounts.refresher.run)
        secret = await accounts.secret_of(ID)
        assert secret.get_secret_value() != first.access and len(acme.asked) == 1
        nursery.cancel_scope.cancel()


async def test_a_bot_is_made_with_a_login_that_its_gateway_reads_from_the_file(autojump_clock: MockClock) -> None:
    async with (
        open_yard() as yard,
        open_accounts(yard.database, {}, hub=yard.hub, cipher=Cipher(new_key()), now=yard.clock) as accounts,
    ):
        yard.profile_secret = accounts.secret_of
        async with yard.life() as docker:
            for name in ("work", "home"):
                key = {"provider": "anthropic", "name": name, "secret": f"canary-{name}"}
                await accounts.keeping.add(AddRequest.model_validate(key))
            with pytest.raises(Invalid, match="two are of one provider"):
                await begun(docker, logins=["anthropic:work", "anthropic:home"])
            taken = {"models": {"providers": {"anthropic": {"apiKey": "${KEY}"}}}}
            with pytest.raises(Invalid, match=r"models\.providers\.anthropic\.apiKey is what anthropic:work gives"):
                await begun(docker, logins=["anthropic:work"], config=taken)

            models = {"providers": {"anthropic": {"baseUrl": "https://a.example"}}}
            operation = await make(docker, logins=["anthropic:work"], config={"models": models})
            assert operation.state == "succeeded", operation.reason
            assert yard.config()["models"]["providers"]["anthropic"] == {
                "baseUrl": "https://a.example",
                "apiKey": {"source": "file", "provider": "edge", "id": "/anthropic:work"},
            }
            assert yard.config()["secrets"]["providers"]["edge"]["path"] == f"{STATE_PATH}/edge-secrets.json"
            assert yard.config("edge-secrets.json") == dict.fromkeys(("anthropic:work", "anthropic"), "canary-work")
            stored = await yard.stored()
            assert stored is not None
            assert "canary" not in json.dumps([operation.request, operation.made, stored.spec])
            assert "canary" not in str(await texts(docker, operation))
            await accounts.vault.look_at_bots()
            assert accounts.vault.bots_of("anthropic:work") == ("atlas",)
            assert accounts.vault.bots_of("anthropic:home") == ()


async def test_one_that_is_too_old_to_be_given_it_later_says_so(autojump_clock: MockClock) -> None:
    async with (
        open_yard() as yard,
        open_accounts(yard.database, {}, hub=yard.hub, cipher=Cipher(new_key()), now=yard.clock) as accounts,
    ):
        yard.profile_secret = accounts.secret_of
        yard.bots.verdicts[:] = [Verdict(True, version="2026.5.28")] * 3
        async with yard.life() as docker:
            key = {"provider": "anthropic", "name": "work", "secret": "canary-work"}
            await accounts.keeping.add(AddRequest.model_validate(key))
            operation = await make(docker, logins=["anthropic:work"])
            assert operation.state == "succeeded", operation.reason
            assert "is not kept up to date" in " ".join(await texts(docker, operation))
