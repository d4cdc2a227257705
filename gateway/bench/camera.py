"""A simulated phone in front of a screen: takes a symbol and returns the frame that the camera would see.
The bench of the reader and the reader's tests use it. It models what a real frame suffers: perspective,
display gamma, cross-talk between colours, white balance, glare, blur, a Bayer sensor with noise, and JPEG
with halved chroma."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from gateway.codes.model import QUIET_ZONE, Symbol

FRAME = (1280, 720)
"""Width and height, pixels."""

_GAMMA = 2.2
_FOCAL_LENGTH = 1400.0
_PAGE = (235, 236, 238)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How the picture is taken. `side`: pixels of the symbol with its quiet zone, seen straight. `blur`:
    sigma, pixels. `noise`: sigma, of 255. `gamma`: of the whole picture, 1 = none. `balance`: gain of red,
    green, blue. `crosstalk`: share of grey mixed into every colour. `tilt`, `roll`: degrees. `jpeg`:
    quality. `glare`: strength of a bright spot, 0 to 1."""

    side: float = 480.0
    blur: float = 0.8
    noise: float = 4.0
    gamma: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    crosstalk: float = 0.0
    tilt: float = 3.0
    roll: float = 8.0
    jpeg: int = 90
    glare: float = 0.0


def take_picture(symbol: Symbol, scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a (720, 1280, 3) RGB frame of the symbol on a page; direction of tilt, place and noise by
    `random`."""
    light: NDArray[np.float64] = (_screen(symbol, scene, random).astype(np.float64) / 255) ** _GAMMA
    light += scene.crosstalk * (light.mean(axis=2, keepdims=True) - light)
    light *= np.array(scene.balance)
    if scene.glare:
        light = _add_glare(light, scene.glare, random)
    exposed = _to_image(np.clip(light, 0, 1) ** (1 / _GAMMA) * 225 + 10)
    seen = _sense(np.asarray(exposed.filter(ImageFilter.GaussianBlur(scene.blur))), scene.noise, random)
    if scene.gamma != 1:
        seen = 255 * (np.clip(seen, 0, 255) / 255) ** scene.gamma
    file = io.BytesIO()
    _to_image(seen).save(file, "JPEG", quality=scene.jpeg, subsampling="4:2:0")
    return np.asarray(Image.open(file).convert("RGB"))


def _to_image(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _screen(symbol: Symbol, scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """The page as the lens projects it, anti-aliased by halving a frame of twice the size."""
    width, height = FRAME
    modules = np.pad(symbol.modules, QUIET_ZONE, constant_values=len(symbol.palette) - 1)
    enlarge = max(2, int(np.ceil(2.2 * scene.side / len(modules))))
    drawn = np.array(symbol.palette, np.uint8)[modules].repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    corners = _corners(scene, random) * 2
    page = Image.new("RGB", (width * 2, height * 2), _PAGE)
    page.paste((40, 60, 110), (0, 0, width * 2, 90))
    coefficients = _perspective(corners, len(drawn))
    warped = Image.fromarray(drawn).transform(
        page.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    inside = Image.new("L", drawn.shape[:2], 255).transform(
        page.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    page.paste(warped, mask=inside)
    return np.asarray(page.reduce(2))


def _corners(scene: Scene, random: np.random.Generator) -> NDArray[np.float64]:
    """Corners of the drawing in the frame, clockwise from the upper left."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * scene.side / 2
    axis = random.uniform(0, 2 * np.pi)
    roll = np.deg2rad(random.uniform(-scene.roll, scene.roll))
    tilt = np.deg2rad(scene.tilt)
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]], np.float64
    )
    turned = square @ _about_z(roll).T @ _about_z(-axis).T @ about_x.T @ _about_z(axis).T
    depth = _FOCAL_LENGTH / (_FOCAL_LENGTH + turned[:, 2:])
    centre = np.array(FRAME) / 2 + random.uniform((-30, -15), (30, 15))
    return np.asarray(turned[:, :2] * depth + centre)


def _about_z(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _perspective(corners: NDArray[np.float64], side: int) -> list[float]:
    """Coefficients of the map from frame to drawing, as Pillow wants them."""
    rows, targets = [], []
    for (x, y), (u, v) in zip(corners, ((0, 0), (side, 0), (side, side), (0, side)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        targets += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(targets, float))]


def _add_glare(
    light: NDArray[np.float64], strength: float, random: np.random.Generator
) -> NDArray[np.float64]:
    width, height = FRAME
    x, y = random.uniform((0.35 * width, 0.35 * height), (0.65 * width, 0.65 * height))
    columns, rows = np.arange(width)[None, :], np.arange(height)[:, None]
    spot = strength * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 170.0**2))
    shade = 0.55 + 0.45 * columns / width
    return np.asarray(light * shade[..., None] + spot[..., None])


def _sense(light: NDArray[np.uint8], noise: float, random: np.random.Generator) -> NDArray[np.float64]:
    """A red-green-green-blue mosaic with noise, filled in by the mean of the neighbours of each colour."""
    height, width = light.shape[:2]
    owner = np.ones((height, width), np.intp)
    owner[0::2, 0::2] = 0
    owner[1::2, 1::2] = 2
    measured = np.take_along_axis(light, owner[..., None], axis=2)[..., 0] + random.normal(
        0, noise, (height, width)
    )
    kernel = np.array([1.0, 2.0, 1.0])
    filled = np.empty((height, width, 3))
    for colour in range(3):
        mine = owner == colour
        weighted = _smooth(np.where(mine, measured, 0), kernel) / _smooth(mine.astype(float), kernel)
        filled[..., colour] = np.where(mine, measured, weighted)
    return filled


def _smooth(plane: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(plane, 1, mode="reflect")
    rows = sum(weight * padded[i : i + plane.shape[0]] for i, weight in enumerate(kernel))
    return np.asarray(sum(weight * rows[:, i : i + plane.shape[1]] for i, weight in enumerate(kernel)))
