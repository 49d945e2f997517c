"""What other programs keep of logins: their shapes, their units, their blanks; and whatever else is in such a file."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.logins import KINDS, FoundLogin, Kind, NotAStore, read_logins

AT = 1_795_474_132_325
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KNOWN = st.sampled_from(
    [
        "profiles", "type", "provider", "key", "token", "access", "refresh", "expires", "oauth", "api_key", "keyRef",
        "claudeAiOauth", "accessToken", "refreshToken", "expiresAt", "tokens", "access_token", "refresh_token",
        "OPENAI_API_KEY", "expiry_date", "email", "accountId",
    ]
)  # fmt: skip
ALIKE = st.dictionaries(KNOWN, JSON | st.dictionaries(KNOWN, JSON | KNOWN, max_size=6), max_size=6)


def read(kind: Kind, document: object) -> dict[str, FoundLogin]:
    return {one.profile_id: one for one in read_logins(kind, json.dumps(document))}


def jwt(exp: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps({"exp": exp}).encode()).decode().rstrip("=")
    return f"e30.{body}.sig"


def test_openclaw() -> None:
    found = read("openclaw", {"version": 1, "profiles": {
        "anthropic:work": {"type": "oauth", "provider": "anthropic", "access": "a", "refresh": "r", "expires": AT,
                           "email": "x@example.org"},
        "openai:manual": {"type": "api_key", "provider": "openai", "key": "k"},
        "fake:tok": {"type": "token", "provider": "fake", "token": "t", "expires": AT},
        "openai-codex:me@example.org": {"type": "oauth", "provider": "openai-codex", "access": "a2", "refresh": "r2",
                                        "expires": AT, "accountId": "acc"},
        "p:ref": {"type": "api_key", "provider": "p", "keyRef": {"source": "env", "provider": "d", "id": "K"}},
        "p:blank": {"type": "oauth", "provider": "p", "access": "", "refresh": "", "expires": 0},
        "p:odd": {"type": "token", "token": "t", "expires": 8_640_000_000_000_001},
        "p:new": {"type": "passkey"},
        "p:junk": 3,
    }})  # fmt: skip
    work = found["anthropic:work"]
    assert (work.access, work.refresh, work.expires_at, work.label) == ("a", "r", AT, "x@example.org")
    assert (found["openai:manual"].type, found["openai:manual"].access) == ("api_key", "k")
    assert (found["fake:tok"].type, found["fake:tok"].expires_at) == ("token", AT)
    codex = found["openai:me@example.org"]
    assert (codex.provider, codex.account_id) == ("openai", "acc")
    problems = {key: one.problem for key, one in found.items() if one.problem}
    assert set(problems) == {"p:ref", "p:blank", "p:odd", "p:new", "p:junk"}
    assert "logged out" in (problems["p:blank"] or "") and "reference" in (problems["p:ref"] or "")


@pytest.mark.parametrize(("failed", "passing"), [("", True), ("failed:", False)])
def test_the_fence_of_a_refresh_of_openclaws_is_no_token(failed: str, passing: bool) -> None:
    fence = f"openclaw-oauth-refresh-fence:v1:{'0' * 32}:{failed}"
    row = {
        "type": "oauth",
        "access": f"{fence}access:{'a' * 64}",
        "refresh": f"{fence}refresh:{'a' * 64}",
        "expires": 1,
    }
    [one] = read("openclaw", {"profiles": {"anthropic:work": row}}).values()
    assert (one.access, one.refresh, one.expires_at, one.passing) == (None, None, None, passing)
    assert one.problem is not None and "refresh" in one.problem


def test_claude_code() -> None:
    document: dict[str, Any] = {"claudeAiOauth": {
        "accessToken": "a", "refreshToken": "r", "expiresAt": AT, "scopes": ["x"], "subscriptionType": "max",
    }}  # fmt: skip
    [one] = read("claude", document).values()
    assert (one.profile_id, one.type, one.access, one.refresh) == ("anthropic:claude", "oauth", "a", "r")
    assert (one.expires_at, one.label, one.problem) == (AT, "max", None)
    blank = {"accessToken": "", "refreshToken": "", "expiresAt": 0}
    [out] = read("claude", {"claudeAiOauth": blank}).values()
    assert out.problem is not None and "logged out" in out.problem


def test_codex_says_the_end_in_the_token_itself_in_seconds() -> None:
    document = {"OPENAI_API_KEY": None, "last_refresh": "2026-01-01T00:00:00Z", "tokens": {
        "id_token": "i", "access_token": jwt(AT // 1000), "refresh_token": "r", "account_id": "acc",
    }}  # fmt: skip
    [one] = read("codex", document).values()
    assert (one.profile_id, one.identity, one.account_id) == ("openai:codex", "i", "acc")
    assert one.expires_at == AT // 1000 * 1000
    both = read("codex", {**document, "OPENAI_API_KEY": "k"})
    assert set(both) == {"openai:codex", "openai:codex-key"} and both["openai:codex-key"].type == "api_key"
    assert set(read("codex", {"OPENAI_API_KEY": "k", "tokens": None})) == {"openai:codex-key"}
    [out] = read("codex", {"OPENAI_API_KEY": None, "tokens": None}).values()
    assert out.problem is not None


def test_gemini() -> None:
    [one] = read("gemini", {"access_token": "a", "refresh_token": "r", "expiry_date": AT, "id_token": "i"}).values()
    assert (one.profile_id, one.expires_at, one.refresh) == ("google:gemini", AT, "r")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "canary", "[]", '"canary"', "{}", '{"canary": 1}', "[" * 100_000, b"\xff\xfe"])
def test_another_file_is_none_of_theirs(kind: Kind, text: str | bytes) -> None:
    with pytest.raises(NotAStore) as caught:
        read_logins(kind, text)
    assert "canary" not in str(caught.value)


@given(document=ALIKE, kind=st.sampled_from(KINDS))
def test_whatever_is_in_it_what_is_found_can_be_kept(document: object, kind: Kind) -> None:
    try:
        found = read_logins(kind, json.dumps(document))
    except NotAStore:
        return
    for one in found:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", one.profile_id)
        assert one.problem or (one.access or one.refresh)
        assert one.expires_at is None or one.expires_at > 0
        assert "access=" not in repr(one) and "refresh=" not in repr(one)


@given(name=st.text(max_size=100), provider=st.text(max_size=50))
def test_each_name_becomes_one_of_a_profile(name: str, provider: str) -> None:
    [one] = read("openclaw", {"profiles": {f"{provider}:{name}": {"type": "api_key", "key": "k"}}}).values()
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", one.profile_id)
