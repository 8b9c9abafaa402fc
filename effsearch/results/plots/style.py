"""What do all figures look like? Nothing is told apart by hue alone: shape, size and lightness say it too."""

WIDTH = 9.0  # inches: half a slide
MIN_HEIGHT = 5.5
LEFT_MARGIN = 0.85
RIGHT_MARGIN = 0.25

FONT = 12.0  # points
SMALL_FONT = 11.0  # the smallest, readable on a slide

INK = "#1a1a1a"
MUTED = "#5c5c5c"
GRID = "#e6e6e6"
WINNER_COLOUR = "#f5b700"

# By series: pale for the many, dark for the front.
PALE_COLOURS = ("#a9bfdc", "#dfbfa0", "#b5d0b0", "#cdb9d6")
DARK_COLOURS = ("#123a70", "#7a2f00", "#1d5a22", "#4f1f66")
SERIES_MARKERS = ("o", "s", "D", "^")
SERIES_LINES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
ANCHOR_MARKERS = ("s", "D", "^", "v", "p", "h", "<", ">")

# On top of matplotlib's defaults, so that a user's own matplotlibrc changes no figure.
STYLE: dict[str, str | float | bool] = {
    "font.family": "DejaVu Sans",
    "font.size": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": SMALL_FONT,
    "ytick.labelsize": SMALL_FONT,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.usetex": False,
}
