"""Frames of the per-bot socket, CHANNEL section 4."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebotd.protocol.rpc import MAX_INTEGER, Problem, Request, answer, failure, parse


def frame(**members: object) -> str:
    return json.dumps(members)


def problem_of(text: str) -> Problem:
    found = parse(text)
    assert isinstance(found, Problem)
    return found


@pytest.mark.parametrize("id", ["a", "", "x" * 256, 0, -5, MAX_INTEGER, "é😀"])
def test_a_request_is_read(id: str | int) -> None:
    text = frame(id=id, method="chat.send", params={"text": "hi", "n": 1.5, "deep": [{"x": None}]})
    assert parse(text) == Request(id, "chat.send", {"text": "hi", "n": 1.5, "deep": [{"x": None}]})


def test_params_may_be_left_out_and_unknown_members_are_ignored() -> None:
    assert parse('{"id":1,"method":"chat.history","later":true}') == Request(1, "chat.history", {})


@pytest.mark.parametrize(
    "text", ["", " ", "{", "nope", "{'id':1}", '{"id":1}x', "\ufeff{}", '{"id":1,}', '"\x00"', '{"id":01}']
)
def test_what_is_not_json_is_bad_json(text: str) -> None:
    assert problem_of(text).code == "bad_json"
    assert problem_of(text).id is None


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", str(MAX_INTEGER + 1), "9" * 100_000]
)
def test_numbers_that_do_not_survive_are_bad_json(value: str) -> None:
    assert problem_of(f'{{"id":1,"method":"chat.send","params":{{"n":{value}}}}}').code == "bad_json"
    assert problem_of(f'{{"id":{value},"method":"chat.send"}}').code == "bad_json"


def test_an_enormous_integer_is_told_apart_from_broken_json() -> None:
    assert "integer" in problem_of(f'{{"id":{"9" * 100_000},"method":"chat.send"}}').message


@pytest.mark.parametrize(
    "text", ['{"id":1,"id":2,"method":"chat.send"}', '{"id":1,"method":"chat.send","params":{"a":1,"a":1}}']
)
def test_a_key_twice_is_bad_json(text: str) -> None:
    assert problem_of(text) == Problem(None, "bad_json", "An object of the frame has a key twice.")


@pytest.mark.parametrize("depth", [70, 900, 20_000, 500_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_bad_json_at_any_depth(depth: int, left: str, right: str) -> None:
    text = f'{{"id":1,"method":"chat.send","params":{{"a":{left * depth}1{right * depth}}}}}'
    assert "deeper than 64" in problem_of(text).message


def test_moderate_nesting_is_fine() -> None:
    assert isinstance(parse(f'{{"id":1,"method":"chat.send","params":{{"a":{"[" * 50}{"]" * 50}}}}}'), Request)


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"\udc00\ud800", "\ud800"])
def test_text_that_cannot_be_encoded_is_bad_json(escape: str) -> None:
    assert problem_of(f'{{"id":1,"method":"chat.send","params":{{"text":"{escape}"}}}}').code == "bad_json"
    assert problem_of(f'{{"id":"{escape}","method":"chat.send"}}').code == "bad_json"


def test_an_escaped_pair_is_honest_text() -> None:
    assert parse(r'{"id":1,"method":"chat.send","params":{"t":"\ud83d\ude00"}}') == Request(1, "chat.send", {"t": "😀"})


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"', "true"])
def test_json_that_is_no_object_is_a_bad_request(text: str) -> None:
    assert problem_of(text).code == "bad_request"


@pytest.mark.parametrize("id", [None, True, False, 1.0, [], {}, "x" * 257])
def test_an_id_of_another_type_is_a_bad_request_without_id(id: object) -> None:
    problem = problem_of(frame(id=id, method="chat.send"))
    assert (problem.id, problem.code) == (None, "bad_request")
    assert problem_of(frame(method="chat.send")) == problem


@pytest.mark.parametrize("method", [None, 1, True, [], {}])
def test_a_method_that_is_no_string_is_a_bad_request_with_its_id(method: object) -> None:
    problem = problem_of(frame(id="q", method=method))
    assert (problem.id, problem.code) == ("q", "bad_request")
    assert problem_of(frame(id="q")) == problem


@pytest.mark.parametrize("method", ["", "chat.abort", "CHAT.SEND", "chat.send "])
def test_any_other_method_is_unknown(method: str) -> None:
    problem = problem_of(frame(id=3, method=method))
    assert (problem.id, problem.code) == (3, "unknown_method")
    assert "chat.history and chat.send" in problem.message


@pytest.mark.parametrize("params", [None, [], "x", 1, True])
def test_params_that_are_no_object_are_a_bad_request(params: object) -> None:
    assert problem_of(frame(id=3, method="chat.send", params=params)).code == "bad_request"


def test_a_problem_does_not_repeat_what_was_sent() -> None:
    for text in ("hunter2", frame(id=1, method="hunter2"), frame(id=["hunter2"]), '{"hunter2":1,"hunter2":2}'):
        assert "hunter2" not in problem_of(text).message


def test_answers_have_the_shape_of_the_contract() -> None:
    assert answer("a", {"runId": "r"}) == '{"id":"a","ok":true,"result":{"runId":"r"}}'
    assert failure(None, "bad_json", "No.") == '{"id":null,"ok":false,"error":{"code":"bad_json","message":"No."}}'


def test_an_answer_can_be_sent_whatever_text_it_holds() -> None:
    text = answer("\ud800", {"t": "\ud800😀"})
    text.encode()
    assert json.loads(text)["result"] == {"t": "\ud800😀"}


def test_an_answer_that_is_no_json_is_a_bug_of_ours() -> None:
    with pytest.raises(ValueError, match="JSON"):
        answer(1, {"n": float("nan")})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "method", "params", "x"]), inner)
    ),
    max_leaves=12,
)
NEAR_REQUESTS = st.fixed_dictionaries(
    {}, optional={"id": JSON | st.just(1), "method": JSON | st.just("chat.send"), "params": JSON | st.just({})}
)


@given(st.text(st.characters()) | JSON.map(json.dumps) | NEAR_REQUESTS.map(json.dumps))
def test_any_text_is_a_request_or_a_problem_that_can_be_answered(text: str) -> None:
    found = parse(text)
    if isinstance(found, Request):
        reply = answer(found.id, found.params)
    else:
        assert found.code in ("bad_json", "bad_request", "unknown_method")
        reply = failure(found.id, found.code, found.message)
    decoded: dict[str, Any] = json.loads(reply.encode())
    assert decoded["id"] == found.id
    assert decoded["ok"] is isinstance(found, Request)
