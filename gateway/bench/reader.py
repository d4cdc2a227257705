"""Bench `reader`: how many simulated photographs of an 88-byte payload the Python reader reads, in the colour form,
beside the QR form (level M, the link) of the same width on the screen, read by zxing-cpp from the same scenes. The
phone's reader, in TypeScript, has the longer table in `web/bench`."""

import contextlib
import time
from collections.abc import Iterator
from statistics import median

import numpy as np

from gateway.bench import Bar, Measure, measure, register
from gateway.bench.camera import Scene, take_picture
from gateway.bench.codes import LINK, PAYLOAD
from gateway.codes import Form, render
from gateway.codes.reader import UnreadableCode, read_image

PICTURES = 3
READ_BAR = Bar(95.0, "at least")

SCENES: dict[str, tuple[Scene, ...]] = {
    "base": (Scene(),),
    "small": (Scene(side=240), Scene(side=160)),
    "blur": (Scene(blur=2.5), Scene(blur=4)),
    "noise": (Scene(noise=24), Scene(noise=50)),
    "gamma": (Scene(gamma=0.5), Scene(gamma=2.2)),
    "white balance": (Scene(balance=(1.2, 0.9, 0.4)), Scene(balance=(0.65, 1, 1.2))),
    "cross-talk": (Scene(crosstalk=0.45), Scene(crosstalk=0.7)),
    "tilt": (Scene(tilt=30), Scene(tilt=50)),
    "jpeg": (Scene(jpeg=35), Scene(jpeg=10)),
    "glare": (Scene(glare=0.4), Scene(glare=0.8)),
}


@register("reader")
def reader() -> Iterator[Measure]:
    """Yield the share of pictures read for each distortion, then of all, then the median time to read one."""
    totals = {Form.COLOUR: 0, Form.QR: 0}
    times: dict[Form, list[float]] = {Form.COLOUR: [], Form.QR: []}
    taken = 0
    for seed, (name, scenes) in enumerate(SCENES.items()):
        count = len(scenes) * PICTURES
        read = {form: _read(scenes, form, seed, times[form]) for form in totals}
        taken += count
        for form in totals:
            totals[form] += read[form]
        yield measure(
            "reader",
            f"{name}, read",
            value=100 * read[Form.COLOUR] / count,
            unit="%",
            bound=100 * read[Form.QR] / count,
        )
    yield measure(
        "reader",
        f"all {taken} pictures, read",
        value=100 * totals[Form.COLOUR] / taken,
        unit="%",
        bound=100 * totals[Form.QR] / taken,
        bar=READ_BAR,
    )
    yield measure(
        "reader", "time a picture", value=median(times[Form.COLOUR]), unit="ms", bound=median(times[Form.QR])
    )


def _read(scenes: tuple[Scene, ...], form: Form, seed: int, times: list[float]) -> int:
    """Return how many pictures give the content back; append the milliseconds of each to `times`."""
    random = np.random.default_rng(seed)
    symbol = render(PAYLOAD, form=form, text=LINK)
    content = PAYLOAD if form is Form.COLOUR else LINK.encode()
    read = 0
    for scene in scenes:
        for _ in range(PICTURES):
            picture = take_picture(symbol, scene, random)
            start = time.perf_counter()
            with contextlib.suppress(UnreadableCode):
                read += read_image(picture).payload == content
            times.append((time.perf_counter() - start) * 1000)
    return read
