"""OKLCH colours as the page's tokens have them, and the contrast between two (WCAG 2.2)."""

from __future__ import annotations

import math
import re
from typing import Final, Literal

from tests.ui.catalogue import PAGE

Theme = Literal["light", "dark"]
Linear = tuple[float, float, float]

TOKENS: Final = PAGE / "style" / "tokens.css"
_OKLCH = r"oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)"
_TOKEN = re.compile(rf"--([a-z-]+): light-dark\({_OKLCH}, {_OKLCH}\);")


def linear(lightness: float, chroma: float, hue: float) -> Linear:
    """Return an OKLCH colour (lightness 0 to 1, hue in degrees) in linear sRGB, cut to what a screen has.

    The matrices are those of CSS Color 4, section 10.
    """
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377773761749 * a + 0.2158037573099136 * b) ** 3
    medium = (lightness - 0.1055613458156586 * a - 0.0638541728258133 * b) ** 3
    short = (lightness - 0.0894841775298119 * a - 1.2914855480194092 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return (_cut(red), _cut(green), _cut(blue))


def _cut(value: float) -> float:
    return min(1.0, max(0.0, value))


def contrast(first: Linear, second: Linear) -> float:
    """Return the ratio of two colours' luminances, 1 to 21."""
    bright, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: Linear) -> float:
    red, green, blue = colour
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def tokens() -> dict[Theme, dict[str, Linear]]:
    """Return the opaque colours of both themes by the token's name."""
    themes: dict[Theme, dict[str, Linear]] = {"light": {}, "dark": {}}
    for name, *numbers in _TOKEN.findall(TOKENS.read_text()):
        light, dark = [float(number) for number in numbers[:3]], [float(number) for number in numbers[3:]]
        themes["light"][name] = linear(light[0] / 100, light[1], light[2])
        themes["dark"][name] = linear(dark[0] / 100, dark[1], dark[2])
    return themes
