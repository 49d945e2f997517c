"""The opaque cursor of the channel (CHANNEL C2): a position, sealed for this installation."""

from __future__ import annotations

import binascii

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_BYTES = 32
MAX_LIFE = 2**32 - 1
MAX_SEQ = 2**48 - 1
_TEXT_LENGTH = 22  # 128 bits in base64 without padding; the last character carries 2 bits
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class CursorSeal:
    """Seal `(life, seq)` as 22 characters of `[A-Za-z0-9_-]`, and open what this key sealed.

    One AES-256 block holds life (32 bits), seq (48 bits) and 48 zero bits; the text is its base64url. AES on a single
    block is a pseudorandom permutation, so equal positions give equal text for every client and unequal ones are
    unrelated: a text tells neither order nor distance. ECB is exactly that here, since there is never a second
    block. The zeros are the check: decrypting something forged gives random bits, so one guess opens with
    probability 2**-48. That is enough, because a cursor grants nothing: rights are checked for each event at replay
    (C6), and a lucky forgery is merely some position, nearly always one that does not exist. AES-SIV would lower the
    bound to 2**-128, at twice the length and several times the cost of the one call per event that this is.

    Args:
        key: 32 random bytes, kept with the installation. It must serve nothing else.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of a cursor seal is {KEY_BYTES} bytes, not {len(key)}")
        cipher = Cipher(algorithms.AES(key), modes.ECB())
        # Kept open: making a context costs more than all else here. Whole blocks leave no state between calls.
        self._encrypt = cipher.encryptor().update
        self._decrypt = cipher.decryptor().update

    def seal(self, life: int, seq: int) -> str:
        """Return the cursor of a position.

        Raises:
            ValueError: life is not of 32 bits or seq not of 48: a bug of the caller.
        """
        if not (0 <= life <= MAX_LIFE and 0 <= seq <= MAX_SEQ):
            raise ValueError("a cursor's life has 32 bits and its seq 48")
        block = self._encrypt((life << 96 | seq << 48).to_bytes(16, "big"))
        return binascii.b2a_base64(block)[:_TEXT_LENGTH].translate(_TO_URL).decode()

    def open(self, text: str) -> tuple[int, int] | None:
        """Return `(life, seq)` of a cursor that this key sealed, None for any other text. Never raises."""
        if len(text) != _TEXT_LENGTH or not text.isascii():
            return None
        encoded = text.encode().translate(_FROM_URL)
        try:
            block = binascii.a2b_base64(encoded + b"==")
        except binascii.Error:
            return None
        # The decoder skips odd characters, takes `+/` and ignores spare bits: only the one canonical text is ours.
        if len(block) != 16 or binascii.b2a_base64(block)[:_TEXT_LENGTH].translate(_TO_URL) != text.encode():
            return None
        value = int.from_bytes(self._decrypt(block), "big")
        if value & MAX_SEQ:  # the 48 bits of the check
            return None
        return value >> 96, value >> 48 & MAX_SEQ
