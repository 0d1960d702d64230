"""The color story: where the hue of a recon goes when the hue of the object is changed, tap by tap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from skimage.color import lab2rgb, rgb2lab

from benchmark.errors import SpecError
from leaderboard.figures.chart import Chart, clean, number, shorten, tell, title_lines
from leaderboard.figures.palette import RULE, SOFT
from leaderboard.figures.sheet import NOTE, XY, Sheet, sheet

__all__ = ["HueMark", "hue_chart", "hue_error", "measure_hues"]

Image = npt.NDArray[np.uint8]

LEAST_CHROMA = 1.0
"""Below this CIELAB chroma of the input there is no hue to keep."""
MOST_PIXELS = 2000
"""So many recolored pixels tell the mean chroma; photographs have many more."""
_MOST_SHARE = 1.2
_PANEL_LEAST, _ACROSS_MOST = 84.0, 5
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
_SAME_HUE = 20.0
"""Shown hues nearer than this (degrees) share a marker."""
_KEY_SIZE, _KEY_LEFT, _KEY_WIDTH = 10.5, 64.0, 54.0
_NOTES = (
    "tick on the rim: the hue shown; pin: the hue that came out,",
    "as long as the share of its chroma (rim: all of it)",
)
HEAD = ("tap", "shown hue (deg)", "hue out (deg)", "hue error (deg)", "share of the shown chroma")


@dataclass(frozen=True)
class HueMark:
    """What became of one shown hue: hue angles in CIELAB in degrees (0 to 360), chroma as a share of the shown one."""

    shown_deg: float
    out_deg: float
    share: float


def hue_error(mark: HueMark) -> float:
    """Return how far the hue out is from the shown one: 0 to 180 degrees."""
    return abs((mark.out_deg - mark.shown_deg + 180.0) % 360.0 - 180.0)


def measure_hues(identity: Image, seen: Mapping[str, Image], recons: Mapping[str, Image]) -> list[list[HueMark]]:
    """Measure hue and chroma over the recolored pixels: those where `seen` differs from `identity`.

    Both are those of the mean CIELAB vector (a*, b*) over these pixels (sRGB, D65); of more than `MOST_PIXELS` over
    every second, third or n-th of them.

    Args:
        identity: (H, W, 3) uint8, the unperturbed input.
        seen: perturbation to the input (what the network was shown), (H, W, 3) uint8.
        recons: perturbation to its recons at T taps, (T, H, W, 3) uint8; for every perturbation of `seen`.

    Returns:
        Per tap one mark per perturbation, in the order of `seen`; a perturbation that moved no pixel, or that left
        these pixels gray (chroma below `LEAST_CHROMA`), gives none.

    Raises:
        SpecError: recons of a perturbation are missing or of another shape.
    """
    counts = {len(recons[name]) for name in seen if name in recons}
    marks: list[list[HueMark]] = [[] for _ in range(max(counts, default=0))]
    for name, shown in seen.items():
        stack = recons.get(name)
        if stack is None or shown.shape != identity.shape or stack.shape != (len(marks), *identity.shape):
            given = "no recons" if stack is None else f"shapes {shown.shape} and {stack.shape}"
            cure = f"give the inputs as {identity.shape} and recons as {(len(marks), *identity.shape)}"
            raise SpecError(f"{given} for perturbation '{name}'", cure=cure)
        moved = np.flatnonzero((shown != identity).any(axis=-1))
        if not moved.size:
            continue
        moved = moved[:: math.ceil(moved.size / MOST_PIXELS)]
        pixels = np.concatenate([shown.reshape(1, -1, 3)[:, moved], stack.reshape(len(stack), -1, 3)[:, moved]])
        a, b = rgb2lab(pixels)[..., 1:].mean(axis=1).T
        chroma, angle = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360.0
        if chroma[0] < LEAST_CHROMA:
            continue
        for tap, kept in enumerate(marks, start=1):
            kept.append(HueMark(float(angle[0]), float(angle[tap]), float(chroma[tap] / chroma[0])))
    return marks


@lru_cache(maxsize=720)
def _color(degrees: int) -> str:
    """Return a color of a CIELAB hue that can be seen on light and on dark pages."""
    angle = math.radians(degrees)
    rgb = lab2rgb([[[57.0, 48.0 * math.cos(angle), 48.0 * math.sin(angle)]]])[0, 0]
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in np.clip(rgb, 0, 1))


def _groups(hues: Sequence[float]) -> dict[float, int]:
    """Return the number of the group of every shown hue: hues that lie close together on the circle are one."""
    ordered = sorted(set(hues))
    if not ordered:
        return {}
    gaps = [(ordered[i] - ordered[i - 1]) % 360.0 for i in range(len(ordered))]
    # Start behind a wide gap, so that no group is cut where the circle closes.
    first = next((i for i, gap in enumerate(gaps) if gap > _SAME_HUE), 0)
    group, groups = 0, {ordered[first]: 0}
    for i in (*range(first + 1, len(ordered)), *range(first)):
        group += gaps[i] > _SAME_HUE
        groups[ordered[i]] = group
    # Numbered by hue, not by where the circle was cut.
    order = list(dict.fromkeys(groups[hue] for hue in ordered))
    return {hue: order.index(number_) for hue, number_ in groups.items()}


def _at(center: XY, degrees: float, radius: float) -> XY:
    angle = math.radians(degrees)
    return center[0] + radius * math.cos(angle), center[1] - radius * math.sin(angle)


def _wheel(page: Sheet, centers: Sequence[XY], radius: float) -> None:
    """Draw the rings (half and full share) and the spokes of all panels."""
    page.rings(centers, radius, SOFT, 0.7)
    page.rings(centers, radius / 2, RULE, 0.8)
    spokes = [[_at(c, turn + 180.0, radius), _at(c, turn, radius)] for c in centers for turn in (0.0, 60.0, 120.0)]
    page.lines(spokes, RULE, 0.7)


def _pins(page: Sheet, marks: Sequence[tuple[XY, HueMark]], radius: float, groups: Mapping[float, int]) -> None:
    """Draw the shown hues as ticks on the rim and the hues out as pins; every mark comes with its center."""
    colors = [_color(round(mark.shown_deg) % 360) for _, mark in marks]
    rims = [(_at(c, mark.shown_deg, radius - 2.5), _at(c, mark.shown_deg, radius + 3.5)) for c, mark in marks]
    tips = [_at(c, mark.out_deg, radius * min(mark.share, _MOST_SHARE)) for c, mark in marks]
    page.lines(rims, colors, 3.5)
    page.lines([(center, tip) for (center, _), tip in zip(marks, tips, strict=True)], colors, 1.3)
    for group in sorted(set(groups.values())):
        # Smaller and smaller, so that all can be seen where recons are gray and the pins have no length.
        own = [i for i, (_, mark) in enumerate(marks) if groups[mark.shown_deg] == group]
        page.marks(
            [tips[i] for i in own],
            _MARKERS[group % len(_MARKERS)],
            [colors[i] for i in own],
            max(8.5 - 1.5 * group, 5.0),
        )


def _keys(groups: Mapping[float, int]) -> list[tuple[str, int]]:
    """Return marker and mean hue (whole degrees) of every group of shown hues."""
    keys = []
    for group in sorted(set(groups.values())):
        angles = np.radians([hue for hue, number_ in groups.items() if number_ == group])
        mean = math.degrees(math.atan2(float(np.sin(angles).sum()), float(np.cos(angles).sum())))
        keys.append((_MARKERS[group % len(_MARKERS)], round(mean) % 360))
    return keys


def _render_alt(title: str, taps: Sequence[str], marks: Mapping[str, Sequence[HueMark]]) -> str:
    start = f"{shorten(title, 120)}. Hue and chroma of recons against those shown, {len(taps)} taps"
    means = []
    for tap in taps:
        if of_tap := marks.get(tap):
            error = math.fsum(hue_error(mark) for mark in of_tap) / len(of_tap)
            means.append((error, math.fsum(mark.share for mark in of_tap) / len(of_tap), shorten(tap, 30)))
    if not means:
        return f"{start}; nothing was recolored."
    (worst, _, worst_tap), (best, _, best_tap) = max(means), min(means)
    first = [
        f"{start}.",
        f"Mean hue error least at {best_tap} ({best:.0f}°), most at {worst_tap} ({worst:.0f}°; 90° is chance).",
        "Hue error and share of the chroma by tap:",
    ]
    return tell(first, [f"{tap} {error:.0f}°, {number(share)}" for error, share, tap in means])


def hue_chart(title: str, taps: Sequence[str], marks: Mapping[str, Sequence[HueMark]], width: int = 360) -> Chart:
    """Return one hue circle per tap: shown hues as ticks on its rim, hues out as pins from its center.

    A pin points to the hue out and is as long as the share of the shown chroma that is left (the rim is all of it;
    cut at 1.2); its color and marker are those of the shown hue. Hue kept: pins end at their ticks. Gray recons: all
    pins end at the center. A prototype color: all pins point the same way.

    Args:
        title: what is shown.
        taps: names, from shallow to deep; one panel each.
        marks: tap to its marks; a tap without marks has an empty panel.
        width: of the figure in CSS pixels; at most 5 panels stand side by side.
    """
    rows = tuple(
        (clean(tap), mark.shown_deg, mark.out_deg, hue_error(mark), mark.share)
        for tap in taps
        for mark in marks.get(tap, ())
    )
    alt = _render_alt(title, taps, marks)
    heading = title_lines(title, width)
    across = max(1, min(_ACROSS_MOST, int(width // _PANEL_LEAST), len(taps)))
    side = min(width / across, 130.0)
    radius = (side / 2 - 5) / _MOST_SHARE
    top = 17.0 * len(heading) + 8
    panel_height = side + 16
    bottom = top + math.ceil(len(taps) / across) * panel_height
    groups = _groups([mark.shown_deg for tap in taps for mark in marks.get(tap, ())])
    keys = _keys(groups)
    per_line = max(1, int((width - _KEY_LEFT) // _KEY_WIDTH))
    height = math.ceil(bottom + 16 * math.ceil(max(len(keys), 1) / per_line) + 4)
    noted = height
    height += math.ceil(NOTE * len(_NOTES))

    with sheet(width, height) as page:
        page.title(heading)
        centers = [
            ((i % across + 0.5) * width / across, top + i // across * panel_height + 16 + side / 2)
            for i in range(len(taps))
        ]
        names = [(x, y - side / 2 - 4, shorten(tap, 14)) for (x, y), tap in zip(centers, taps, strict=True)]
        page.texts(names, color=SOFT, anchor="middle")
        _wheel(page, centers, radius)
        _pins(
            page,
            [(c, mark) for c, tap in zip(centers, taps, strict=True) for mark in marks.get(tap, ())],
            radius,
            groups,
        )
        if keys:
            page.text(2, bottom + 8, "shown hue:", size=_KEY_SIZE, color=SOFT)
        for i, (marker, hue) in enumerate(keys):
            x, y = _KEY_LEFT + i % per_line * _KEY_WIDTH, bottom + 8 + 16 * (i // per_line)
            page.marks([(x + 6, y)], marker, _color(hue), 8.0)
            page.text(x + 14, y, f"{hue}°", size=_KEY_SIZE, color=SOFT)
        page.notes(noted + 2, _NOTES)
        return Chart(page.svg(title, alt), alt, width, height, HEAD, rows)
