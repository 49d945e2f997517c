"""Chat completions as OpenAI's API has them and many servers imitate it, without IO.

Bytes in, values out: no await, no clock, no randomness, no logging. Nothing here raises because of what a server sent;
wrong types read as absent, unknown fields are ignored. Source: the reference of `POST /chat/completions`, and what
llama.cpp, vLLM, Ollama, LiteLLM, Mistral and OpenRouter do differently.
"""

from edgebotd.protocol.openai.refusal import Kind, Redactor, Refusal, refusal
from edgebotd.protocol.openai.reply import MAX_REPLY_BYTES, Reply
from edgebotd.protocol.openai.request import IMAGE_TYPES, MAX_TEXT_BYTES, TEXT_TYPES, Content, Unsendable, request_body

__all__ = [
    "IMAGE_TYPES",
    "MAX_REPLY_BYTES",
    "MAX_TEXT_BYTES",
    "TEXT_TYPES",
    "Content",
    "Kind",
    "Redactor",
    "Refusal",
    "Reply",
    "Unsendable",
    "refusal",
    "request_body",
]
