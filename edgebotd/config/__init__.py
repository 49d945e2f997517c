"""The settings: one TOML file, overridden by the environment and flags; everything that is wrong is told at once.

Order of the sources: defaults < file < environment (`EDGEBOTD_SECTION__KEY`) < flags. Nothing here imports Trio or the
web stack, so `edgebotd check` is quick.
"""

from edgebotd.config.alerts import AlertChannelSettings, AlertsSettings
from edgebotd.config.explain import Explained, explain
from edgebotd.config.load import ConfigError, load
from edgebotd.config.providers import AccountsSettings, OAuthSettings, ProviderSettings, UsageSettings
from edgebotd.config.settings import (
    BotSettings,
    ChannelSettings,
    ChatSettings,
    DockerSettings,
    LoggingSettings,
    PeopleSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    default_socket,
    default_state_dir,
)
from edgebotd.config.sources import Finding, find_file, searched_files
from edgebotd.config.values import address_url, is_loopback, parse_address

__all__ = [
    "AccountsSettings",
    "AlertChannelSettings",
    "AlertsSettings",
    "BotSettings",
    "ChannelSettings",
    "ChatSettings",
    "ConfigError",
    "DockerSettings",
    "Explained",
    "Finding",
    "LoggingSettings",
    "OAuthSettings",
    "PeopleSettings",
    "ProviderSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "UsageSettings",
    "address_url",
    "default_socket",
    "default_state_dir",
    "explain",
    "find_file",
    "is_loopback",
    "load",
    "parse_address",
    "searched_files",
]
