"""False colours: grey values as colours that are even to the eye."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.errors import ParameterError
from emtools.model import Step
from emtools.process.plane import as_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Image

ColourMap = Literal["viridis", "cividis", "magma", "inferno"]
# Smith & van der Walt (2015, CC0), cividis: Nunez, Anderton & Renslow, PLoS ONE 13 (2018) e0199239.
# Every eighth colour; between them the maps are straight to 5/255.
_MAPS: dict[str, str] = {
    "viridis":
        "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e"
        "26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83e"
        "addc30c2df23d8e219ece51bfde725",
    "cividis":
        "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a71"
        "6f70737676767d7c788482798c8878938e789b9476a39a74aba072b4a76fbcae6cc4b468cdbb63d5c25e"
        "dec958e7d150f0d846f9e03afee838",
    "magma":
        "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a81"
        "9c2e7faa337db73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67c"
        "fec488fed395fde2a3fcf0b2fcfdbf",
    "inferno":
        "0000040403120b0724150b37210c4a2f0a5b3d09654a0c6b57106e64156e71196e7d1e6d8a226a972766"
        "a32c61b0315bbc3754c73e4cd24644db503be45a31eb6628f1731df68013f98e09fb9d07fcac11fbbc21"
        "f9cb35f5db4cf2ea69f3f68afcffa4",
}
_PERCENTILES = (0.3, 99.7)
_RGB = np.dtype([("R", np.uint8), ("G", np.uint8), ("B", np.uint8)])


def false_colour(
    image: Image, *, colours: ColourMap = "viridis", low: float | None = None,
    high: float | None = None,
) -> Image:
    """Return a picture in false colours.

    The four maps rise evenly in lightness, so that equal steps of the values are equal steps to the
    eye, also in grey print and to the colour-blind (cividis above all).

    Parameters
    ----------
    image
        A single real-valued picture.
    colours
        Name of the colour map.
    low, high
        Values of the first and the last colour, which what is beyond has too; by default the
        percentiles 0.3 and 99.7.

    Returns
    -------
    Image
        ``(y, x)`` with fields ``R``, ``G``, ``B`` of 8 bits, as HyperSpy has colour pictures: its
        axes stay y and x.  Masked pixels are mid-grey.  The last of its `steps` has the limits, of
        which a colour bar is made; it is for the eye, not for measurements, which would see its
        luminance.

    Raises
    ------
    ImageError
        If the image is a stack, complex, or has no finite pixel.
    ParameterError
        If the limits are not in order.

    References
    ----------
    Crameri, Shephard & Heron, Nature Communications 11 (2020) 5444: why the map matters.
    """
    if colours not in _MAPS:
        raise ParameterError("colours", f"{colours!r} is not known",
                             f"give one of {', '.join(_MAPS)}")
    plane = as_plane(image)
    used = plane.values if plane.mask is None else plane.values[plane.mask]
    ends = [float(end) + plane.offset for end in np.percentile(used, _PERCENTILES)]
    first = ends[0] if low is None else float(low)
    last = ends[1] if high is None else float(high)
    if low is None and high is None and first == last:
        first, last = first - 0.5, last + 0.5
    if not (np.isfinite(first) and np.isfinite(last) and first < last):
        raise ParameterError("low, high", f"must be finite and in order, not {first:g}, {last:g}")
    part = np.clip((plane.values + (plane.offset - first)) / (last - first), 0.0, 1.0)
    rgb = table(colours)[np.rint(255.0 * part).astype(np.uint8)]
    if plane.mask is not None:
        rgb[~plane.mask] = 128
    data = np.ascontiguousarray(rgb).view(_RGB)[..., 0]
    step = Step("false_colour", {"colours": colours, "low": first, "high": last}, image.quantity)
    return replace(image, data=data, mask=plane.mask, steps=(*image.steps, step))


def table(colours: str) -> NDArray[np.uint8]:
    """Return the 256 colours ``(256, 3)`` of a map, one of `ColourMap`."""
    few = np.frombuffer(bytes.fromhex(_MAPS[colours]), dtype=np.uint8).reshape(-1, 3)
    at, places = np.linspace(0.0, 1.0, 256), np.linspace(0.0, 1.0, len(few))
    return np.rint([np.interp(at, places, channel) for channel in few.T.astype(float)]
                   ).astype(np.uint8).T
