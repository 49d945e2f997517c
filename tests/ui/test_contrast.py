"""The tokens hold WCAG 2.2 AA: text 4.5:1 on every surface, what shows a control 3:1. No colour is named elsewhere."""

from __future__ import annotations

import re

import pytest

from tests.ui.catalogue import PAGE
from tests.ui.colours import TOKENS, Theme, contrast, linear, tokens

SURFACES = ("surface", "raised", "sunken", "accent-soft", "bad-soft", "warn-soft")
TEXTS = ("text", "muted", "accent", "ok", "busy", "warn", "bad", "unknown")
CONTROLS = ("control", "accent")
ON_ACCENT = (("on-accent", "accent"), ("on-accent", "accent-strong"))

_COLOUR = re.compile(r"(?<![\w-])(?:#[0-9a-fA-F]{3,8}\b|(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color|color-mix)a?\()")


def test_contrast_is_reckoned_as_wcag_does() -> None:
    white, black, grey = linear(1, 0, 0), linear(0, 0, 0), linear(0.5999, 0, 0)
    assert contrast(white, black) == pytest.approx(21, abs=0.01)
    assert contrast(black, white) == contrast(white, black)
    # #808080, which is OKLCH 59.99 % and 3.95:1 on white.
    assert contrast(white, grey) == pytest.approx(3.95, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_on_every_surface(theme: Theme) -> None:
    colours = tokens()[theme]
    pairs = [(text, surface) for surface in SURFACES for text in TEXTS] + list(ON_ACCENT)
    found = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_controls_stand_out_from_every_surface(theme: Theme) -> None:
    colours = tokens()[theme]
    pairs = [(control, surface) for surface in SURFACES for control in CONTROLS]
    found = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 3} == {}


def test_colours_are_named_among_the_tokens_only() -> None:
    places = [path for path in sorted((PAGE / "style").glob("*.css")) if path != TOKENS]
    assert {path.name: _COLOUR.findall(path.read_text()) for path in places if _COLOUR.search(path.read_text())} == {}


def test_what_the_browser_paints_its_own_bars_with_is_the_surface() -> None:
    """The colours of `theme-color` cannot be tokens; they are the surface of each theme, as hex."""
    index = (PAGE / "index.html").read_text()
    for theme, colour in tokens().items():
        found = re.search(rf'theme-color" media="\(prefers-color-scheme: {theme}\)" content="#([0-9a-f]{{6}})"', index)
        assert found is not None
        assert found[1] == _hex(colour["surface"])


def _hex(colour: tuple[float, float, float]) -> str:
    encoded = [12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055 for value in colour]
    return "".join(f"{round(value * 255):02x}" for value in encoded)
