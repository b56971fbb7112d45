"""The picture of a training: what its guard saw of the samples, step by step."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.sweep_plot import COLOURS, PAPER, dress

TITLES = {
    "quick_distance": ("Distance from real pictures", "lower is better ↓"),
    "quick_diversity": ("Diversity", "as real pictures: 1"),
}


def draw(curves: Mapping[str, Sequence[tuple[int, float]]]) -> bytes:
    """PNG bytes; equal curves give equal bytes."""
    figure = Figure(figsize=(11, 3.4), dpi=110, facecolor=PAPER, layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, curve), colour in zip(panels, curves.items(), COLOURS, strict=False):
        axes.plot(*zip(*curve, strict=True), marker="o", markersize=4, linewidth=1.6, color=colour)
        title, meaning = TITLES[name]
        dress(axes, title, "step", meaning)
        values = [value for _, value in curve]
        if 0 < 10 * min(values) < max(values):
            axes.set_yscale("log")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
