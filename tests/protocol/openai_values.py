"""JSON as an endpoint might send it, right or wrong."""

from __future__ import annotations

from hypothesis import strategies as st

KEY = "sk-canary-4f9a1c77e0b2d8"
FIELDS = [
    "choices",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "index",
    "id",
    "finish_reason",
    "error",
    "detail",
    "code",
    "type",
    "text",
    "reasoning_content",
    "refusal",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(["stop", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
"""Values of any shape, with the names that mean something."""
