"""Charts of the leaderboard: standalone SVG files, each with a text alternative and its data as a table."""

from __future__ import annotations

from leaderboard.figures.chart import Chart
from leaderboard.figures.cost import CostPoint, cost_chart, front
from leaderboard.figures.depth import Line, depth_chart
from leaderboard.figures.forest import Estimated, forest_chart
from leaderboard.figures.heat import Panel, heat_chart
from leaderboard.figures.hue import HueMark, hue_chart, measure_hues

__all__ = [
    "Chart",
    "CostPoint",
    "Estimated",
    "HueMark",
    "Line",
    "Panel",
    "cost_chart",
    "depth_chart",
    "forest_chart",
    "front",
    "heat_chart",
    "hue_chart",
    "measure_hues",
]
