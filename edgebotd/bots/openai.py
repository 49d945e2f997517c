"""The connection to an endpoint that speaks OpenAI's chat completions: a local model server or a service.

Such an endpoint has no memory, no sessions and no lasting connection: every turn is one HTTP request that carries the
conversation so far, and its answer is the reply as Server-Sent Events. So a "session" here is the time in which the
endpoint answers a probe, and a run lives and dies with its request.
"""

from __future__ import annotations

from pydantic import SecretStr


class OpenAIConnector:
    """A `Connector` for one model behind an OpenAI-compatible endpoint.

    Args:
        url: of the API's root, such as `http://127.0.0.1:11434/v1`; `/chat/completions` is appended.
        model: the name by which the endpoint knows the model.
        api_key: sent as a bearer token, nowhere else.
        system_prompt: goes before each conversation.
    """

    def __init__(
        self, url: str, model: str, *, api_key: SecretStr | None = None, system_prompt: str | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._model = model
        self._api_key = api_key
        self._system_prompt = system_prompt
