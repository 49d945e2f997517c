"""A reply that streams in, as text that is only ever added to where possible. No IO."""

from __future__ import annotations


class Reply:
    """Puts deltas together. `offset` counts UTF-16 code units, as in every client of the channel."""

    def __init__(self) -> None:
        self.text = ""
        self._units = 0
        self.complete = True
        """False once a piece was missed; the stored message has it."""

    def delta(self, offset: int, text: str) -> tuple[str, bool]:
        """Take new text at its place.

        Returns: what to print, and whether it begins anew, because what was printed has been replaced.
        """
        if offset > self._units:
            self.complete = False
            return "", False
        kept = self.text
        if offset < self._units:
            kept = self.text.encode("utf-16-le", "surrogatepass")[: 2 * offset].decode("utf-16-le", "ignore")
        return self.replace(kept + text)

    def replace(self, whole: str) -> tuple[str, bool]:
        """Take the whole text; returns as `delta`."""
        shown, self.text = self.text, whole
        self._units = len(whole.encode("utf-16-le", "surrogatepass")) // 2
        if whole.startswith(shown):
            return whole[len(shown) :], False
        # The same text up to white space at the end is no other text.
        if shown.startswith(whole.rstrip()) and not shown[len(whole.rstrip()) :].strip():
            return "", False
        return whole, True
