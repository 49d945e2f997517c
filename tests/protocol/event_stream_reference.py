"""A second reader of event streams, written straight from the specification and sharing nothing with ours.

WHATWG HTML 9.2.5 and 9.2.6, literally and on the whole stream at once: no chunks, no buffering, no bound.
"""

import re

Dispatched = tuple[str, str, str]  # type, data, last event ID


def read_stream(stream: bytes) -> tuple[list[Dispatched], str, int | None]:
    """Return the dispatched events, the last event ID string and the reconnection time after the whole stream."""
    text = stream.decode("utf-8", errors="replace")
    if text.startswith("\ufeff"):
        text = text[1:]
    lines = re.split("\r\n|\n|\r", text)
    lines.pop()  # no line end after it: it is part of an incomplete block at most

    events: list[Dispatched] = []
    data_buffer = type_buffer = id_buffer = last_event_id = ""
    reconnection_time: int | None = None
    for line in lines:
        if line == "":
            last_event_id = id_buffer
            if data_buffer == "":
                type_buffer = ""
                continue
            if data_buffer[-1] == "\n":
                data_buffer = data_buffer[:-1]
            events.append((type_buffer if type_buffer != "" else "message", data_buffer, last_event_id))
            data_buffer = type_buffer = ""
            continue
        if line[0] == ":":
            continue
        if ":" in line:
            at = line.index(":")
            field, value = line[:at], line[at + 1 :]
            if value != "" and value[0] == " ":
                value = value[1:]
        else:
            field, value = line, ""
        if field == "event":
            type_buffer = value
        elif field == "data":
            data_buffer += value
            data_buffer += "\n"
        elif field == "id":
            if "\0" not in value:
                id_buffer = value
        elif field == "retry" and value != "" and all(c in "0123456789" for c in value):
            reconnection_time = int(value)
    return events, last_event_id, reconnection_time
