"""What a person calls something is one line, whatever terminal, log or list it is shown in."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from edgebotd.bots.requests import ConnectRequest, EditRequest, TitleRequest
from edgebotd.config import BotSettings, DockerSettings
from edgebotd.docker.adopt import AdoptRequest
from edgebotd.docker.provision import ProvisionRequest
from edgebotd.docker.spec import Volume
from edgebotd.web.problem import of_validation
from edgebotd.web.routes.sign_in import SetupRequest
from edgebotd.web.routes.tokens import NewToken
from edgebotd.web.routes.users import NewUser, UserEdit

REFUSED = "must hold no control characters, such as a line break"
SHOWN: list[tuple[type[BaseModel], str, dict[str, Any]]] = [
    (ConnectRequest, "name", {"id": "claw"}),
    (ConnectRequest, "model", {"id": "claw"}),
    (EditRequest, "name", {}),
    (EditRequest, "model", {}),
    (ProvisionRequest, "name", {"id": "claw"}),
    (ProvisionRequest, "model", {"id": "claw"}),
    (AdoptRequest, "name", {"id": "claw"}),
    (TitleRequest, "title", {}),
    (NewUser, "name", {"id": "ann"}),
    (UserEdit, "name", {}),
    (NewToken, "name", {"scopes": ["chat"]}),
    (SetupRequest, "name", {"code": "x"}),
    (Volume, "path", {"name": "state"}),
    (BotSettings, "name", {"kind": "echo"}),
]


@pytest.mark.parametrize("control", ["\n", "\x00", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e"])
@pytest.mark.parametrize(("model", "field", "rest"), SHOWN)
def test_a_name_with_a_control_character_is_refused_in_words(
    model: type[BaseModel], field: str, rest: dict[str, Any], control: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({**rest, field: f"/Cla{control}w"})
    assert of_validation(refused.value).detail == f"{field}: {REFUSED}"


@pytest.mark.parametrize(("model", "field", "rest"), SHOWN)
def test_any_other_name_is_fine(model: type[BaseModel], field: str, rest: dict[str, Any]) -> None:
    made = model.model_validate({**rest, field: "/Zoë’s 🦞 (爪)"})
    assert getattr(made, field) == "/Zoë’s 🦞 (爪)"


@pytest.mark.parametrize("mount", ["/srv/a\nb:/notes", "/srv:/no\x1btes:ro", "/srv:/notes:ro\n"])
def test_a_mount_is_one_line(mount: str) -> None:
    with pytest.raises(ValidationError):
        DockerSettings(mounts={"claw": (mount,)})


@pytest.mark.parametrize("name", ["9", "a-b", "A=B", "", "A" * 129])
def test_a_name_that_is_no_variables_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ProvisionRequest.model_validate({"id": "claw", "environment": {name: "x"}})
    words = "must be 1 to 128 letters of a-z, A-Z, digits and _, not beginning with a digit"
    assert of_validation(refused.value).detail == f"environment.{name}: {words}"


def test_a_variables_name_may_have_small_letters() -> None:
    ProvisionRequest.model_validate({"id": "claw", "environment": {"http_proxy": "http://proxy:3128"}})
