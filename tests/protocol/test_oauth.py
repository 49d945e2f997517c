"""OAuth without IO: whatever a provider sends, it is one of a closed set of things, and no secret is in the words."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgebotd.protocol import oauth
from edgebotd.protocol.oauth import (
    Ambiguous,
    Client,
    Delayed,
    DeviceCode,
    DeviceState,
    Granted,
    LandingError,
    Misconfigured,
    Outcome,
    Partial,
    Rejected,
    Tokens,
)
from edgebotd.protocol.oauth.claims import account_of, person_of
from tests.protocol.openai_values import JSON

NOW = 1_700_000_000_000
SECRET = "s3cr3t-canary-of-the-answer"
CLIENT = Client("https://login.test/token", "our id", scope="openid offline_access")


def read(status: int, body: Any, headers: Mapping[str, str] | None = None, *, jwt: bool = False) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return oauth.read_token_answer(status, headers or {}, raw, sent_at=NOW, received_at=NOW + 200, jwt=jwt)


def jwt(claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}.c2ln"


def form(request: oauth.Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}


# Requests


def test_refresh_sends_a_form_with_the_clients_id() -> None:
    request = oauth.refresh_request(CLIENT, "r+1&x")
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "r+1&x", "client_id": "our id"}
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_each_way_of_saying_who_the_client_is() -> None:
    basic = oauth.refresh_request(Client("u", "id:1", "s e", auth="basic"), "r")
    pair = base64.b64decode(basic.headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair == "id%3A1:s+e" and "client_id" not in form(basic)
    post = form(oauth.refresh_request(Client("u", "id", "s", auth="post"), "r"))
    assert (post["client_id"], post["client_secret"]) == ("id", "s")


def test_json_bodies_scope_extra_parameters_and_headers_are_as_set() -> None:
    client = Client(
        "u", "id", body="json", scope="a b", send_scope=True, extra={"x": "1"}, headers={"User-Agent": "me"}
    )
    request = oauth.refresh_request(client, "r")
    assert json.loads(request.body) == {
        "x": "1",
        "grant_type": "refresh_token",
        "refresh_token": "r",
        "scope": "a b",
        "client_id": "id",
    }
    assert request.headers["User-Agent"] == "me" and request.headers["Content-Type"] == "application/json"


def test_no_secret_is_shown_by_a_request_or_client() -> None:
    client = Client("https://x.test/token", "id", SECRET, auth="post", headers={"X-Key": SECRET})
    request = oauth.code_request(client, SECRET, SECRET, "http://127.0.0.1/cb", state="s")
    assert SECRET not in repr(client) + repr(request) + request.url


# Answers


def test_a_grant_counts_from_the_moment_of_sending() -> None:
    outcome = read(200, {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 3600})
    assert outcome == Granted(Tokens("a", "r", None, NOW + 3_600_000, 3_600_000))


def test_a_grant_may_leave_everything_out_but_the_access_token() -> None:
    assert read(200, {"access_token": "a"}) == Granted(Tokens("a"))


def test_the_end_of_a_jwt_is_told_by_the_providers_clock() -> None:
    # The provider is ten minutes ahead of us.
    date = {"date": "Tue, 14 Nov 2023 22:23:20 GMT"}
    token = jwt({"exp": NOW // 1000 + 600 + 3600})
    outcome = read(200, {"access_token": token}, date, jwt=True)
    assert isinstance(outcome, Granted) and outcome.skew_ms == 600_000 + 500 - 200
    assert outcome.tokens.expires_at == NOW + 3_600_000 - 300
    assert read(200, {"access_token": token}, date) == Granted(Tokens(token), outcome.skew_ms)


@pytest.mark.parametrize("expires", [0, -1, "soon", True, [], float("nan")])
def test_a_grant_that_tells_a_wrong_life_is_not_used_but_its_refresh_token_is_kept(expires: Any) -> None:
    body = {"access_token": "a", "expires_in": expires}
    assert isinstance(read(200, body), Ambiguous)
    partial = read(200, body | {"refresh_token": "next"})
    assert isinstance(partial, Partial) and partial.refresh == "next"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"access_token": "a', {}, [], {"access_token": ""}, {"error": "new"}]
)
def test_an_answer_of_200_that_is_none_is_ambiguous(body: Any) -> None:
    assert isinstance(read(200, body), Ambiguous)


def test_another_type_of_token_is_not_used() -> None:
    assert isinstance(read(200, {"access_token": "a", "token_type": "mac"}), Ambiguous)


@pytest.mark.parametrize("code", sorted(oauth.answers.REJECTED_CODES))
@pytest.mark.parametrize("status", [400, 401, 403, 200])
def test_a_login_that_is_over_is_rejected_in_both_shapes(code: str, status: int) -> None:
    for body in ({"error": code}, {"error": {"code": code, "message": SECRET}}):
        outcome = read(status, body)
        assert isinstance(outcome, Rejected) and outcome.code == code and SECRET not in repr(outcome)


@pytest.mark.parametrize("code", sorted(oauth.answers.MISCONFIGURED_CODES))
def test_a_client_that_is_refused_is_a_matter_of_the_settings(code: str) -> None:
    assert isinstance(read(401, {"error": code}), Misconfigured)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": "invalid_grant"}),
        (503, {"error": "invalid_grant"}),
        (408, b""),
        (500, b"<html>"),
        (400, b"no json"),
        (404, {"detail": "x"}),
        (400, {"error": "invalid_request"}),
        (400, {"error": "something else"}),
        (302, b""),
    ],
)
def test_what_says_nothing_of_the_login_is_tried_again(status: int, body: Any) -> None:
    assert isinstance(read(status, body), Delayed)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("2", 2000),
        ("0", None),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("1e9", None),
        ("0.5", 500),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 59_800),
        ("Tue, 14 Nov 2023 22:13:00 GMT", None),
    ],
)
def test_retry_after_counts_only_where_it_is_more_than_nothing(text: str, wait: int | None) -> None:
    outcome = read(429, {"error": "rate_limited"}, {"Retry-After": text})
    assert isinstance(outcome, Delayed) and outcome.retry_after_ms == wait


HEADERS = st.dictionaries(st.sampled_from(["date", "Date", "retry-after", "Content-Type"]), st.text(max_size=40))
TOKENISH = st.one_of(st.just(SECRET), st.text(max_size=20), st.integers(), st.none(), st.floats())
ANSWERS = st.dictionaries(
    st.sampled_from(["access_token", "refresh_token", "id_token", "token_type", "expires_in", "error"])
    | st.sampled_from(["device_code", "user_code", "verification_uri", "interval"]),
    TOKENISH | JSON,
).map(lambda value: json.dumps(value).encode())


@given(
    status=st.integers(0, 999), headers=HEADERS, body=st.binary() | ANSWERS | JSON.map(lambda v: json.dumps(v).encode())
)
@example(status=200, headers={"date": "Mon, 99 Foo 99999 99:99:99 +9999"}, body=b"[" * 100_000)
@example(status=200, headers={}, body=b'{"access_token": "a", "expires_in": 1' + b"0" * 400 + b"}")
@example(status=200, headers={"date": "Fri, 31 Dec 9999 23:59:59 -2359"}, body=b'{"access_token": "a.e30.b"}')
def test_no_bytes_raise_and_no_secret_shows(status: int, headers: dict[str, str], body: bytes) -> None:
    token = oauth.read_token_answer(status, headers, body, sent_at=NOW, received_at=NOW + 5, jwt=True)
    assert isinstance(token, get_args(Outcome))
    poll = oauth.read_device_poll(status, headers, body, sent_at=NOW, received_at=NOW + 5, jwt=True)
    assert isinstance(poll, (DeviceState, *get_args(Outcome)))
    device = oauth.read_device_answer(status, headers, body, sent_at=NOW, received_at=NOW + 5)
    assert isinstance(device, (DeviceCode, *get_args(Outcome)))
    reasons = "".join(str(getattr(outcome, "reason", "")) for outcome in (token, poll, device))
    assert SECRET not in repr(token) + repr(poll) + reasons
    if isinstance(token, Granted) and token.tokens.expires_at is not None:
        assert token.tokens.expires_at > NOW


@given(claims=JSON | st.fixed_dictionaries({"exp": st.integers() | st.floats() | JSON}))
def test_no_claims_raise(claims: Any) -> None:
    expiry = oauth.jwt_expiry(jwt(claims))
    assert expiry is None or expiry > 0


def test_a_claim_beyond_all_numbers_is_none() -> None:
    assert oauth.jwt_expiry(jwt({"exp": 10**400})) is None


@given(token=st.text(alphabet=".e30=_-é\x00", max_size=30))
def test_no_token_raises(token: str) -> None:
    oauth.jwt_expiry(token)
    account_of(["a"], token)
    person_of(token)


@given(claims=JSON | st.fixed_dictionaries({"a": JSON, "iss": JSON, "sub": JSON}))
def test_no_claims_raise_that_tell_an_account_or_a_person(claims: Any) -> None:
    account = account_of(["a", "b"], jwt(claims), None)
    assert account is None or account.isascii()
    person = person_of(jwt(claims))
    assert person is None or all(person)


def test_the_account_is_told_by_the_first_token_that_can_stand_in_a_header() -> None:
    path = ["https://acme.test/auth", "account_id"]
    tokens = [jwt({path[0]: {path[1]: value}}) for value in ("a b", "acc-1", "acc-2")]
    assert account_of(path, None, *tokens) == "acc-1"
    assert account_of([], *tokens) is None and account_of(path, "opaque") is None
    assert person_of(jwt({"iss": "https://acme.test", "sub": "7"})) == ("https://acme.test", "7")
    assert person_of(jwt({"iss": "https://acme.test"})) is None and person_of(None) is None


# Login


def test_the_challenge_is_the_one_of_the_rfc() -> None:
    assert (
        oauth.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_the_address_to_agree_at_holds_the_challenge_and_not_the_verifier() -> None:
    client = Client(
        "t", "id", authorize_url="https://x.test/auth?tenant=1", scope="a b", authorize_extra={"prompt": "consent"}
    )
    url = oauth.authorize_url(client, state="st", verifier="v" * 43, redirect_uri="http://127.0.0.1:1/cb")
    query = parse_qs(urlsplit(url).query)
    assert query["tenant"] == ["1"] and query["prompt"] == ["consent"] and query["scope"] == ["a b"]
    assert query["code_challenge"] == [oauth.challenge_of("v" * 43)] and "v" * 43 not in url


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:1/cb?code=c1&state=st", " https://x.test/#code=c1&state=st\n", "c1#st"]
)
def test_the_code_is_read_from_what_a_person_pastes(text: str) -> None:
    assert oauth.read_landing(text, "st").code == "c1"


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("", "no_address"),
        ("hello", "no_address"),
        ("http://[", "no_address"),
        ("http://x/cb?code=c&state=other", "other_login"),
        ("http://x/cb?code=c", "other_login"),
        ("http://x/cb?error=access_denied&state=st", "refused"),
        ("http://x/cb?code=&state=st", "no_code"),
    ],
)
def test_what_does_not_finish_this_login_says_why(text: str, trouble: str) -> None:
    with pytest.raises(LandingError) as caught:
        oauth.read_landing(text, "st")
    assert caught.value.trouble == trouble


@given(text=st.text() | st.text().map(lambda t: f"http://x/?{t}"))
def test_no_pasted_text_raises_anything_else(text: str) -> None:
    with pytest.raises(LandingError):
        oauth.read_landing(text, "a state that nobody guesses")


def test_a_device_code_and_what_becomes_of_it() -> None:
    def poll(status: int, body: Any) -> DeviceState | Outcome:
        return oauth.read_device_poll(status, {}, json.dumps(body).encode(), sent_at=NOW, received_at=NOW)

    given_codes = {
        "device_code": SECRET,
        "user_code": "AB-CD",
        "verification_uri": "https://x.test/d",
        "expires_in": 900,
    }
    device = oauth.read_device_answer(200, {}, json.dumps(given_codes).encode(), sent_at=NOW, received_at=NOW)
    assert isinstance(device, DeviceCode) and SECRET not in repr(device)
    assert (device.user_code, device.seconds, device.interval) == ("AB-CD", 900, 5)
    for status in (400, 200):
        for code, state in (
            ("authorization_pending", DeviceState.PENDING),
            ("slow_down", DeviceState.SLOW_DOWN),
            ("access_denied", DeviceState.DENIED),
            ("expired_token", DeviceState.EXPIRED),
        ):
            assert poll(status, {"error": code}) is state
    assert isinstance(poll(200, {"access_token": "a"}), Granted)


@pytest.mark.parametrize("where", ["javascript:alert(1)", "ftp://x", "https://", "https://a b", 7])
def test_a_person_is_not_sent_to_what_is_no_address(where: Any) -> None:
    body = json.dumps({"device_code": "d", "user_code": "u", "verification_uri": where}).encode()
    assert isinstance(oauth.read_device_answer(200, {}, body, sent_at=NOW, received_at=NOW), Ambiguous)
