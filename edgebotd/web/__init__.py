"""The edge: HTTP, the stream's door, the per-bot socket, the page."""
