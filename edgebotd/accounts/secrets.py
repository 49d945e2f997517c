"""What a login consists of, as it lies sealed in the vault."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

from edgebotd import logs

FINGERPRINT_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Login:
    """The secrets of one login; which there are depends on its type.

    Attributes:
        access: what is sent to the provider: an access token, a long-lived token or an API key.
        refresh: what buys the next access token; `oauth` only.
        identity: an OpenID Connect id token, where the provider gives one.
    """

    access: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)
    identity: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for value in (self.access, self.refresh, self.identity):
            if value:
                logs.register_secret(value)

    @property
    def fingerprint(self) -> str | None:
        """Stands for the lasting secret, which is random: nothing can be guessed from a hash of it."""
        lasting = self.refresh or self.access
        return None if lasting is None else hashlib.sha256(lasting.encode()).hexdigest()[:FINGERPRINT_DIGITS]

    def to_bytes(self) -> bytes:
        """Return it for the cipher."""
        return json.dumps({"access": self.access, "refresh": self.refresh, "identity": self.identity}).encode()

    @classmethod
    def from_bytes(cls, plain: bytes) -> Login:
        """Return what `to_bytes` made."""
        return cls(**json.loads(plain))
