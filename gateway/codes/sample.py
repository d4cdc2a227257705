"""From a sighting to the colour of every module: fits the grid to the patterns that every symbol has in
common, takes the mean of nine points in each module, and evens out the light by the black and white modules
around it. `gateway.codes.reader` calls this; the next step is `gateway.codes.decode`."""

import numpy as np
from numpy.typing import NDArray

from gateway.codes.layout import Layout

Floats = NDArray[np.float64]

_FIT_OFFSETS = (-0.25, 0.25)
_SAMPLE_OFFSETS = (-0.18, 0.0, 0.18)
_STEPS = (0.6, 0.3, 0.15)
"""Modules that a corner moves while the grid is fitted."""
_ROUNDS = 2
_REFERENCES = 300
_LEAST_CONTRAST = 6.0


def fit_corners(grey: Floats, corners: Floats, grid: Layout) -> Floats:
    """Return the (4, 2) corners moved to where finder, timing and alignment patterns match the picture best.
    `grey` is (height, width)."""
    rows, columns = np.nonzero(grid.template)
    weights = np.tile(-grid.template[rows, columns].astype(np.float64), len(_FIT_OFFSETS) ** 2)
    points = _grid_points(rows + 0.5, columns + 0.5, _FIT_OFFSETS)

    def score(trial: Floats) -> float:
        x, y = _project(homography(trial, grid.size), points)
        return float(weights @ _nearest(grey, x, y))

    best = corners.copy()
    best_score = score(best)
    module = float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).mean()) / grid.size
    for step in _STEPS:
        for _ in range(_ROUNDS):
            before = best_score
            for corner in range(4):
                for move in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                    trial = best.copy()
                    trial[corner] += np.array(move) * step * module
                    trial_score = score(trial)
                    if trial_score > best_score:
                        best, best_score = trial, trial_score
            if best_score == before:
                break
    return best


def homography(corners: Floats, size: int) -> Floats:
    """Return the 3 by 3 matrix from module coordinates (0 to `size`) to pixels."""
    rows = []
    for (u, v), (x, y) in zip(((0, 0), (size, 0), (size, size), (0, size)), corners, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]]
    solved = np.linalg.solve(np.array(rows, np.float64), corners.ravel())
    return np.append(solved, 1.0).reshape(3, 3)


def sample_modules(colours: Floats, corners: Floats, grid: Layout) -> Floats:
    """Return (size + 2, size + 2, 3): mean red, green and blue of each module of the inner grid and of the
    border around it, as they are in the picture."""
    side = grid.size + 2
    rows, columns = np.divmod(np.arange(side * side), side)
    points = _grid_points(rows - 0.5, columns - 0.5, _SAMPLE_OFFSETS)
    x, y = _project(homography(corners, grid.size), points)
    values = _bilinear(colours, x, y)
    return np.asarray(values.reshape(len(_SAMPLE_OFFSETS) ** 2, side, side, 3).mean(axis=0))


def even_light(samples: Floats, grid: Layout) -> Floats:
    """Return the samples scaled so that the black modules nearby are 0 and the white ones 1, a channel at a
    time."""
    black = _level(samples, grid, dark=True)
    white = _level(samples, grid, dark=False)
    scaled = (samples - black) / np.maximum(white - black, _LEAST_CONTRAST)
    return np.clip(scaled, -0.3, 1.4)


def _level(samples: Floats, grid: Layout, *, dark: bool) -> Floats:
    """Mean of the known black (or white) modules, weighted by nearness."""
    side = grid.size + 2
    rows, columns = np.nonzero(grid.template == (1 if dark else -1))
    thinned = np.linspace(0, len(rows) - 1, min(len(rows), _REFERENCES)).astype(np.intp)
    rows, columns = rows[thinned] + 1, columns[thinned] + 1
    all_rows, all_columns = np.divmod(np.arange(side * side), side)
    squared = (all_rows[:, None] - rows) ** 2 + (all_columns[:, None] - columns) ** 2
    weights = (squared + (0.06 * grid.size) ** 2) ** -1.5
    level = weights @ samples[rows, columns] / weights.sum(axis=1, keepdims=True)
    return np.asarray(level.reshape(side, side, 3))


def _grid_points(
    rows: NDArray[np.floating], columns: NDArray[np.floating], offsets: tuple[float, ...]
) -> Floats:
    """Return (3, points) homogeneous module coordinates: every module once for each pair of offsets."""
    x = np.concatenate([columns + across for _ in offsets for across in offsets])
    y = np.concatenate([rows + down for down in offsets for _ in offsets])
    return np.stack([x, y, np.ones_like(x)])


def _project(matrix: Floats, points: Floats) -> tuple[Floats, Floats]:
    x, y, z = matrix @ points
    z = np.where(np.abs(z) < 1e-9, 1e-9, z)
    return x / z, y / z


def _nearest(plane: Floats, x: Floats, y: Floats) -> Floats:
    height, width = plane.shape
    columns = np.clip(x, 0, width - 1).astype(np.intp)
    rows = np.clip(y, 0, height - 1).astype(np.intp)
    return plane[rows, columns]


def _bilinear(colours: Floats, x: Floats, y: Floats) -> Floats:
    """Pixel centres lie at halves."""
    height, width = colours.shape[:2]
    x = np.clip(x - 0.5, 0, width - 1)
    y = np.clip(y - 0.5, 0, height - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    upper = colours[top, left] * (1 - across) + colours[top, right] * across
    lower = colours[bottom, left] * (1 - across) + colours[bottom, right] * across
    return np.asarray(upper * (1 - down) + lower * down)
