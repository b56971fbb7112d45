"""Plots of a report: quality against diversity by temperature, and the curves of a training.

A sweep has quality upwards, diversity to the right, and a line for each model. Left panel: likelihood of the texts
under a language model of real texts, and of real texts under a language model of these. Right panel: BLEU of the texts
against real ones and among each other. Real texts are a star; a model is good as far as its line comes near.
"""

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipelines.formats.evaluation_report import Sweep

COLOURS = ("#2f7a68", "#b3541e", "#4f5fa8", "#8a3f6b", "#6b6b2f", "#3f7f9f")
_INK, _QUIET, PAPER = "#1f2023", "#66676c", "#fbfaf7"


def draw_sweep(sweep: Sweep) -> bytes:
    """PNG bytes; equal sweeps give equal bytes."""
    figure = Figure(figsize=(11, 5.2), dpi=110, facecolor=PAPER, layout="constrained")
    left, right = figure.subplots(1, 2)
    (self_bleu,) = [name for name in sweep.real if name.startswith("self_bleu_")]
    _panel(left, sweep, "reverse_nats_per_character", "nats_per_character", upside_down=True)
    _labels(
        left,
        "Likelihood under language models",
        "nats of real texts under a model of these",
        "nats of these under a model of real texts",
    )
    _panel(right, sweep, self_bleu, "bleu_test", upside_down=False)
    _labels(right, "Word sequences", "BLEU with each other", "BLEU with held-out texts")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, labelcolor=_INK)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _panel(axes: Axes, sweep: Sweep, across: str, up: str, upside_down: bool) -> None:
    """Lines of `up` over `across`, of which less is more diverse: it grows to the left."""
    for index, (name, curve) in enumerate(sweep.curves.items()):
        points = sorted(curve.points, key=lambda point: point.temperature)
        x, y = ([point.scores[axis] for point in points] for axis in (across, up))
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(x, y, marker="o", markersize=5, linewidth=1.6, color=colour, label=name)
        for point in points:
            label, at = f"{point.temperature:g}", (point.scores[across], point.scores[up])
            axes.annotate(label, at, (5, 4), textcoords="offset points", fontsize=8, color=colour)
    axes.plot(
        sweep.real[across],
        sweep.real[up],
        marker="*",
        markersize=15,
        linestyle="",
        color=_INK,
        label="real texts",
    )
    axes.invert_xaxis()
    if upside_down:
        axes.invert_yaxis()


def _labels(axes: Axes, title: str, across: str, up: str) -> None:
    dress(axes, title, f"{across}   (more diverse →)", f"{up}   (better ↑)")


def dress(axes: Axes, title: str, across: str, up: str) -> None:
    """Title, names of the axes and the looks of a report's plots."""
    axes.set_facecolor(PAPER)
    axes.set_title(title, loc="left", color=_INK, fontsize=12, fontweight="bold")
    axes.set_xlabel(across, color=_QUIET)
    axes.set_ylabel(up, color=_QUIET)
    axes.grid(color="#e4e1d9", linewidth=0.8)
    axes.tick_params(colors=_QUIET)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


TITLES = {
    "quick_distance": ("Distance from real images", "lower is better ↓"),
    "quick_diversity": ("Diversity", "real images: 1"),
    "quick_diversity_given_condition": ("Of one condition, pixels", "real images: 1"),
    "quick_spread_given_condition": ("Of one condition, features", "real images: 1"),
}


def draw_training(curves: Mapping[str, Sequence[tuple[int, float]]]) -> bytes:
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
