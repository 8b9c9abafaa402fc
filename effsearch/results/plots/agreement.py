"""How is a certificate drawn: what the proxy says of each network, beside what longer training says?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from effsearch.results.certificate import Certificate, CertifiedNetwork, interval_words
from effsearch.results.plots import style
from effsearch.results.plots.labels import Label, place_labels, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PADDING = 0.12  # of the span of the points, on every side


def draw_agreement(certificate: Certificate) -> Figure:
    """The figure of a certificate: one point per network, the proxy's choice and the best of all marked.

    Needs no display and leaves matplotlib's global state alone. The axes have scales of their own: longer training
    scores higher, and only the order matters.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", style.STYLE]):
        figure = Figure(figsize=(style.WIDTH, style.MIN_HEIGHT), facecolor="white", dpi=100)
        axes = figure.add_axes((0.095, 0.185, 0.875, 0.66))
        _set_scales(axes, certificate)
        choice, best = certificate.choice, certificate.best
        judged = "screening" if certificate.of == "screening" else "proxy"
        others = [network for network in certificate.networks if network not in (choice, best)]
        _scatter(
            axes,
            _places(others, certificate),
            "networks of the run",
            marker="o",
            s=52,
            color=style.DARK_COLOURS[0],
        )
        if best is not choice:
            _draw_regret(axes, certificate)
            _scatter(
                axes,
                _places([best], certificate),
                "best with longer training",
                marker="D",
                s=90,
                facecolor="white",
                edgecolor=style.INK,
                linewidth=1.7,
            )
        _scatter(
            axes,
            _places([choice], certificate),
            f"the {judged}'s choice" if best is not choice else f"the {judged}'s choice, and the best",
            marker="*",
            s=300,
            facecolor=style.WINNER_COLOUR,
            edgecolor=style.INK,
            linewidth=1.1,
        )
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=4,
            fontsize=style.SMALL_FONT,
            frameon=False,
            borderpad=0,
            borderaxespad=0.4,
            columnspacing=1.6,
        )
        marked = [choice] if best is choice else [choice, best]
        place_labels(
            axes,
            [
                Label(text=one.name, x=x, y=y)
                for one, (x, y) in zip(marked, _places(marked, certificate).tolist(), strict=True)
            ],
            obstacles=np.concatenate(
                [_places(certificate.networks, certificate), _along_regret(certificate)]
            ),
            size=style.SMALL_FONT,
            colour=style.INK,
        )
        name = "Screening" if certificate.of == "screening" else "Proxy"
        title = f"{name} against {certificate.factor} x longer training: tau {interval_words(certificate.kendall)}"
        figure.text(0.095, 0.965, plain_text(title, limit=80), fontsize=14, fontweight="bold", va="top")
        figure.text(
            0.095,
            0.03,
            plain_text(_note(certificate), limit=120),
            fontsize=style.SMALL_FONT,
            color=style.MUTED,
        )
    return figure


def _set_scales(axes: Axes, certificate: Certificate) -> None:
    from matplotlib.ticker import MaxNLocator

    places = _places(certificate.networks, certificate)
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.maximum(high - low, 1.0)
    middle = (low + high) / 2
    axes.set_xlim(*(middle[0] + (0.5 + _PADDING) * span[0] * np.array([-1, 1])))
    axes.set_ylim(*(middle[1] + (0.5 + _PADDING) * span[1] * np.array([-1, 1])))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel(
        "Score of the screening (deviations)"
        if certificate.of == "screening"
        else "Accuracy with the proxy (%)"
    )
    axes.set_ylabel(f"Accuracy with {certificate.factor} x the epochs (%)")
    axes.grid(color=style.GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_regret(axes: Axes, certificate: Certificate) -> None:
    """A line from the proxy's choice up to the height of the best, and across to it."""
    corners = _regret_corners(certificate)
    axes.plot(
        corners[:, 0],
        corners[:, 1],
        color=style.MUTED,
        linewidth=1.4,
        linestyle=(0, (4, 2.5)),
        zorder=2,
        label="regret",
    )


def _regret_corners(certificate: Certificate) -> NDArray[np.float64]:
    choice, best = _places([certificate.choice, certificate.best], certificate)
    return np.array([choice, (choice[0], best[1]), best])


def _along_regret(certificate: Certificate) -> NDArray[np.float64]:
    """Places on the line of regret, for names to keep clear of: (num_places, 2)."""
    choice, corner, best = _regret_corners(certificate)
    return np.concatenate([np.linspace(choice, corner, 30), np.linspace(corner, best, 30)])


def _scatter(axes: Axes, places: NDArray[np.float64], label: str, **look: object) -> None:
    if len(places):
        axes.scatter(
            places[:, 0],
            places[:, 1],
            label=label,
            zorder=4,
            **look,  # type: ignore[arg-type]  # matplotlib types each keyword apart
        )


def _note(certificate: Certificate) -> str:
    return (
        f"{len(certificate.networks)} networks; certificate: {certificate.grade}. Regret of its first choice "
        f"{100 * certificate.regret:.1f} points, of its top three {100 * certificate.top_regret:.1f} on average."
    )


def _places(networks: Sequence[CertifiedNetwork], certificate: Certificate) -> NDArray[np.float64]:
    """What the proxy says and the accuracy of the longer training, in the axes' units: (num_networks, 2)."""
    unit = 1 if certificate.of == "screening" else 100
    places = [(unit * one.proxy_score, 100 * one.longer_accuracy) for one in networks]
    return np.array(places, dtype=np.float64).reshape(-1, 2)
