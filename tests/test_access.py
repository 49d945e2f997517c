"""Who may do what: grants, scopes, narrowing; and absent is absent."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.access import Grant, Kind, Principal, Scope, local_admin
from edgebotd.errors import Forbidden, NotFound

BOTS = ("atlas", "iris", "nova")


def principal(
    grants: dict[str, Grant] | None = None,
    *,
    admin: bool = False,
    scopes: frozenset[Scope] | None = None,
    bots: frozenset[str] | None = None,
) -> Principal:
    return Principal(
        kind=Kind.SESSION if scopes is None else Kind.TOKEN,
        user_id="ann",
        name="Ann",
        credential_id="x",
        admin=admin,
        every_bot=admin,
        grants=grants or {},
        scopes=scopes,
        bots=bots,
    )


def test_a_grant_includes_the_smaller_ones() -> None:
    for own, needed in product(Grant, Grant):
        who = principal({"atlas": own})
        if own >= needed:
            who.require("atlas", needed)
        else:
            with pytest.raises(Forbidden):
                who.require("atlas", needed)


@pytest.mark.parametrize("needed", list(Grant))
def test_a_bot_without_a_grant_is_absent(needed: Grant) -> None:
    with pytest.raises(NotFound):
        principal({"atlas": Grant.OPERATE}).require("iris", needed)


def test_an_admin_holds_every_grant_on_every_bot() -> None:
    who = principal(admin=True)
    who.require_admin()
    who.require("any-bot-to-come", Grant.OPERATE)
    assert who.access_class().sees("any-bot-to-come")


def test_the_local_admin_is_one() -> None:
    local_admin(0).require_admin()
    local_admin(0).require("atlas", Grant.OPERATE)


def test_scopes_cap_the_grant_of_the_user() -> None:
    who = principal({"atlas": Grant.OPERATE}, scopes=frozenset({Scope.READ}))
    who.require("atlas", Grant.VIEW)
    with pytest.raises(Forbidden):
        who.require("atlas", Grant.CHAT)


def test_scopes_never_raise_the_grant_of_the_user() -> None:
    who = principal({"atlas": Grant.VIEW}, scopes=frozenset({Scope.OPERATE, Scope.READ}))
    with pytest.raises(Forbidden):
        who.require("atlas", Grant.CHAT)


def test_publishing_needs_a_token_with_the_scope_and_the_bot() -> None:
    publish = frozenset({Scope.PUBLISH})
    principal({"atlas": Grant.VIEW}, scopes=publish).require_publish("atlas")
    with pytest.raises(Forbidden):
        principal({"atlas": Grant.OPERATE}).require_publish("atlas")
    with pytest.raises(Forbidden):
        principal(admin=True).require_publish("atlas")
    with pytest.raises(NotFound):
        principal({"atlas": Grant.VIEW}, scopes=publish).require_publish("iris")
    with pytest.raises(NotFound):
        principal({"atlas": Grant.VIEW}, scopes=publish, bots=frozenset({"iris"})).require_publish("atlas")


def test_a_publish_only_token_sees_nothing() -> None:
    who = principal({"atlas": Grant.OPERATE}, scopes=frozenset({Scope.PUBLISH}))
    assert who.grant_on("atlas") is None
    assert not who.access_class().sees("atlas")


def test_on_a_bots_own_host_other_bots_are_absent_for_admins_too() -> None:
    who = principal(admin=True).narrowed_to("atlas")
    who.require("atlas", Grant.OPERATE)
    with pytest.raises(NotFound):
        who.require("iris", Grant.VIEW)
    with pytest.raises(Forbidden):
        who.require_admin()
    assert not who.access_class().sees("iris")
    assert not who.access_class().admin


def test_narrowing_twice_to_different_bots_leaves_nothing() -> None:
    who = principal(admin=True, bots=frozenset({"iris"})).narrowed_to("atlas")
    assert [bot for bot in BOTS if who.grant_on(bot)] == []


@given(
    grants=st.dictionaries(st.sampled_from(BOTS), st.sampled_from(Grant)),
    admin=st.booleans(),
    scopes=st.none() | st.frozensets(st.sampled_from(Scope)),
    bots=st.none() | st.frozensets(st.sampled_from(BOTS)),
)
def test_the_access_class_agrees_with_the_grants(
    grants: dict[str, Grant], admin: bool, scopes: frozenset[Scope] | None, bots: frozenset[str] | None
) -> None:
    who = principal(grants, admin=admin, scopes=scopes, bots=bots)
    seen = who.access_class()
    for bot in BOTS:
        assert seen.sees(bot) == (who.grant_on(bot) is not None)
        assert seen.operates(bot) == (who.grant_on(bot) == Grant.OPERATE)
    assert who.visible(list(BOTS)) == [bot for bot in BOTS if seen.sees(bot)]
