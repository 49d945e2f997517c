"""Answers in the shapes of the providers, written by hand from what is known of them."""

from __future__ import annotations

from typing import Any

NOW = 1_795_860_000_000
"""2026-11-28 10:00 UTC"""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

ANTHROPIC: dict[str, Any] = {
    "five_hour": {"utilization": 61.0, "resets_at": "2026-11-28T12:59:59.571404+00:00"},
    "seven_day": {"utilization": 104.5, "resets_at": "2026-12-01T09:00:00Z"},
    "seven_day_oauth_apps": None,
    "seven_day_opus": {"utilization": 0.0, "resets_at": None},
    "seven_day_sonnet": {"utilization": "12.5", "resets_at": "2026-11-27T09:00:00Z"},
    "iguana": {"utilization": 3, "resets_at": None},
    "extra_usage": {
        "is_enabled": True,
        "monthly_limit": 5000,
        "used_credits": 1234,
        "utilization": 24.7,
        "currency": "usd",
    },
}

ANTHROPIC_LIMITS: dict[str, Any] = {
    "five_hour": {"utilization": 20, "resets_at": "2026-11-28T12:00:00Z"},
    "seven_day": {"utilization": 30, "resets_at": "2026-12-01T09:00:00Z"},
    "seven_day_opus": None,
    "limits": [
        {"kind": "session", "group": "session", "percent": 20, "resets_at": "2026-11-28T12:00:00Z", "scope": None},
        {"kind": "weekly_all", "group": "weekly", "percent": 30, "resets_at": "2026-12-01T09:00:00Z"},
        {
            "kind": "weekly_scoped",
            "group": "weekly",
            "percent": 77,
            "resets_at": "2026-12-01T09:00:00Z",
            "scope": {"model": {"id": None, "display_name": "Opus"}},
            "is_active": True,
        },
        {"kind": "weekly_scoped", "group": "weekly", "percent": 0, "scope": {"model": {"id": "x"}}, "is_active": False},
    ],
    "extra_usage": {"is_enabled": False, "monthly_limit": None, "used_credits": None, "utilization": None},
}

CODEX: dict[str, Any] = {
    "plan_type": "plus",
    "rate_limit": {
        "allowed": True,
        "primary_window": {
            "used_percent": 15,
            "limit_window_seconds": 18000,
            "reset_after_seconds": 7200,
            "reset_at": NOW // 1000 + 7200,
        },
        "secondary_window": {
            "used_percent": 5.5,
            "limit_window_seconds": 604800,
            "reset_after_seconds": 172800,
            "reset_at": 0,
        },
    },
    "additional_rate_limits": [
        {
            "limit_name": "Code spark",
            "metered_feature": "code_spark",
            "rate_limit": {"primary_window": {"used_percent": "40", "limit_window_seconds": "18000"}},
        },
        {"limit_name": "Empty", "rate_limit": None},
    ],
    "credits": {"has_credits": True, "unlimited": False, "balance": "12.50"},
    "spend_control": {"individual_limit": {"limit": "100", "used": "25"}},
}

CODEX_WEEKLY_ONLY: dict[str, Any] = {
    "plan_type": "free",
    "rate_limit": {
        "primary_window": {
            "used_percent": 80,
            "limit_window_seconds": 2592000,
            "reset_at": NOW // 1000 + 86400,
        },
        "secondary_window": None,
    },
    "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
}

COPILOT: dict[str, Any] = {
    "copilot_plan": "individual",
    "quota_reset_date": "2026-12-01",
    "quota_snapshots": {
        "premium_interactions": {
            "entitlement": 300,
            "remaining": -30,
            "percent_remaining": -10.0,
            "unlimited": False,
            "overage_count": 30,
            "overage_permitted": True,
        },
        "chat": {"entitlement": 0, "remaining": 0, "percent_remaining": 100.0, "unlimited": True},
        "completions": {"entitlement": 0, "remaining": 0, "percent_remaining": 0.0, "unlimited": False},
    },
}

COPILOT_FREE: dict[str, Any] = {
    "copilot_plan": "free",
    "limited_user_reset_date": NOW // 1000,
    "limited_user_quotas": {"chat": 40, "completions": 4000},
    "monthly_quotas": {"chat": 50, "completions": 4000},
}

GEMINI: dict[str, Any] = {
    "buckets": [
        {"modelId": "gemini-2.5-pro", "remainingFraction": 0.75, "resetTime": "2026-11-29T08:00:00Z"},
        {"modelId": "gemini-3-pro-preview", "remainingFraction": 0.5, "resetTime": "2026-11-29T09:00:00Z"},
        {"modelId": "gemini-2.5-flash", "remainingFraction": 1, "resetTime": "2026-11-29T08:00:00Z"},
        {"modelId": "gemini-2.5-flash-lite", "remainingFraction": 0.999},
        {"modelId": "gemini-2.0-flash", "resetTime": "2026-11-29T08:00:00Z"},
    ]
}

OPENROUTER_KEY: dict[str, Any] = {
    "data": {
        "label": "sk-or-v1-abc...def",
        "limit": 20,
        "limit_remaining": 5,
        "limit_reset": "weekly",
        "usage": 170.25,
        "usage_weekly": 15,
        "is_free_tier": False,
    }
}

OPENROUTER_CREDITS: dict[str, Any] = {"data": {"total_credits": 50, "total_usage": 42.25}}

USAGE_STATUS: dict[str, Any] = {
    "updatedAt": NOW,
    "providers": [
        {
            "provider": "anthropic",
            "displayName": "Claude",
            "windows": [
                {"label": "5h", "usedPercent": 40, "resetAt": NOW + HOUR_MS},
                {"label": "Week", "usedPercent": 10, "resetAt": NOW + DAY_MS},
                {"label": "Opus", "usedPercent": 3},
            ],
            "billing": [{"type": "budget", "used": 5, "limit": 20, "unit": "USD", "period": "month"}],
            "plan": "max",
        },
        {"provider": "openai", "displayName": "OpenAI", "windows": [], "error": "HTTP 401"},
        {"provider": "zai", "displayName": "z.ai", "windows": [{"label": "5h", "usedPercent": 0}], "error": "Timeout"},
    ],
}

AUTH_STATUS: dict[str, Any] = {
    "providers": [
        {
            "provider": "openrouter",
            "status": "static",
            "usage": {"providerId": "openrouter", "windows": [], "billing": [{"type": "balance", "amount": 7.5}]},
        },
        {"provider": "fake", "status": "missing"},
    ]
}
