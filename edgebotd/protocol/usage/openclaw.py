"""What an OpenClaw gateway says of the logins that it owns: `usage.status`, and `models.authStatus` for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgebotd.protocol.fields import mapping, objects
from edgebotd.protocol.usage.model import Billing, UnreadableUsage, Usage, Window
from edgebotd.protocol.usage.reading import DAY, HOUR, WEEK, ahead, distinct, number, percent, slug, text

_SPANS: Final = {"week": WEEK, "day": DAY, "24h": DAY, "5h": 5 * HOUR}
_MOST_PROVIDERS: Final = 32


@dataclass(frozen=True, slots=True)
class GatewayUsage:
    """Of one provider.

    Attributes:
        trouble: why the gateway could not read it, in its words; then there is no `usage`.
    """

    provider: str
    usage: Usage | None
    trouble: str | None = None


def read_usage_status(answer: Mapping[str, Any], now: int) -> dict[str, GatewayUsage]:
    """Read the payload of `usage.status`, by provider.

    Raises:
        UnreadableUsage: it is none.
    """
    if not isinstance(answer.get("providers"), list):
        raise UnreadableUsage("the gateway's answer has no providers")
    found: dict[str, GatewayUsage] = {}
    for one in objects(answer["providers"]):
        if (provider := text(one.get("provider"))) is not None and len(found) < _MOST_PROVIDERS:
            found.setdefault(provider, _one(provider, one, now))
    return found


def read_auth_status(answer: Mapping[str, Any], now: int) -> dict[str, GatewayUsage]:
    """Read what the payload of `models.authStatus` says of usage, by provider; those without are left out.

    Raises:
        UnreadableUsage: it is none.
    """
    if not isinstance(answer.get("providers"), list):
        raise UnreadableUsage("the gateway's answer has no providers")
    found: dict[str, GatewayUsage] = {}
    for one in objects(answer["providers"]):
        usage, provider = mapping(one.get("usage")), text(one.get("provider"))
        if usage and provider is not None and len(found) < _MOST_PROVIDERS:
            found.setdefault(provider, _one(provider, usage, now))
    return found


def _one(provider: str, data: Mapping[str, Any], now: int) -> GatewayUsage:
    windows = distinct(_windows(data, now))
    billing = tuple(_billing(data))
    trouble = text(data.get("error"))
    # A gateway puts 0 where it could not ask, so what comes with an error is no figure.
    if trouble is not None or not (windows or billing):
        return GatewayUsage(provider, None, trouble or "it has no figures")
    return GatewayUsage(provider, Usage(windows, billing, text(data.get("plan"))))


def _windows(data: Mapping[str, Any], now: int) -> Iterator[Window]:
    for window in objects(data.get("windows")):
        label, used = text(window.get("label")), percent(window.get("usedPercent"))
        if label is not None and used is not None:
            yield Window(slug(label), label, used, _SPANS.get(label.lower()), ahead(window.get("resetAt"), now))


def _billing(data: Mapping[str, Any]) -> Iterator[Billing]:
    for one in objects(data.get("billing")):
        unit, period = text(one.get("unit")), text(one.get("period"))
        amount, used, limit = (number(one.get(name)) for name in ("amount", "used", "limit"))
        match one.get("type"):
            case "balance" if amount is not None:
                yield Billing("balance", unit or "credits", amount=amount)
            case "budget" if used is not None and limit is not None:
                yield Billing("budget", unit or "credits", used=used, limit=limit, period=period)
            case "spend" if (spent := used if used is not None else amount) is not None:
                yield Billing("spend", unit or "credits", used=spent, period=period)
