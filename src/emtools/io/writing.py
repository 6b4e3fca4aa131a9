"""Write an image to a file that other programs open with its calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import ImageError
from emtools.units import LENGTH, RECIPROCAL

if TYPE_CHECKING:
    from pathlib import Path

    from emtools.model import Image


def write_image(image: Image, path: Path) -> None:
    """Write an image.

    Parameters
    ----------
    image
        A single picture for TIFF; anything for hspy.
    path
        Ends in ``.tif`` (float32, calibrated the way ImageJ writes it) or ``.hspy``.

    Raises
    ------
    ImageError
        If the format cannot hold the image.
    """
    if path.suffix.lower() == ".hspy":
        image.to_hyperspy().save(str(path), overwrite=True)
    elif path.suffix.lower() in (".tif", ".tiff"):
        _write_tiff(image, path)
    else:
        raise ImageError(str(path), "has an ending that is not written", "give .tif or .hspy")


def _write_tiff(image: Image, path: Path) -> None:
    import tifffile

    if not image.is_plane:
        raise ImageError(image.name, "is not a single picture", "write it as .hspy")
    unit = image.calibration().unit
    if unit not in (LENGTH, RECIPROCAL):
        tifffile.imwrite(path, image.load().astype(np.float32), imagej=True)
        return
    height, width = image.pixel_size(unit)
    tifffile.imwrite(path, image.load().astype(np.float32), imagej=True,
                     resolution=(1 / width, 1 / height), metadata={"unit": unit})
