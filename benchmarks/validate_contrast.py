"""Amplitude contrast against simulated truth: what is found over what is there.

Discs of two compositions (1 and 1.3) on a film whose level slopes by half across the picture, with
Poisson noise.  *Slope*: found contrast over the true one, in the discs without their edges; *film*:
what is found beside them, in per cent of the discs' contrast.  *Thickness*: by how much the discs
differ that should be the same but for a wedge, left over right, before and after its correction;
*composition*: the ratio of the two, should be 1.3 where neighbours are many.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
from scipy import ndimage

from emtools.model import Acquisition, Image
from emtools.model.image import plane_image
from emtools.process.amplitude import amplitude_contrast

SIDE, PIXEL_NM, CONTRAST = 384, 0.1, 0.4
DOSES, RADII_PX, SHARES = (5, 20, 50, 200, 1000), (5, 14, 30), (0.2, 0.5)


def simulated(
    rng: np.random.Generator, modality: str, dose: float, radius: float, share: float
) -> tuple[Image, np.ndarray, np.ndarray]:
    """Return a picture, its true contrast and its compositions."""
    y, x = np.mgrid[:SIDE, :SIDE]
    composition = np.zeros((SIDE, SIDE))
    covered = 0
    while covered < share * SIDE**2:
        at = rng.uniform(0, SIDE, 2)
        here = (np.hypot(y - at[0], x - at[1]) < radius) & (composition == 0)
        composition[here] = rng.choice([1.0, 1.3])
        covered += int(here.sum())
    film = dose * (1.0 + 0.4 * (x / SIDE - 0.5) - 0.2 * (y / SIDE - 0.5))
    contrast = CONTRAST * composition * (1.0 + 0.6 * (x / SIDE - 0.5))
    dark = modality == "TEM"
    mean = film * np.exp(-contrast) if dark else film * (1.0 + contrast)
    image = plane_image(rng.poisson(mean).astype(np.float32), PIXEL_NM,
                        acquisition=Acquisition(modality=modality))
    return image, contrast if dark else film * contrast, composition


def errors(
    rng: np.random.Generator, modality: str, dose: float, radius: float, share: float
) -> list[float]:
    """Return slope, film, thickness before and after, composition of one picture."""
    image, truth, composition = simulated(rng, modality, dose, radius, share)
    found = amplitude_contrast(image, thickness_nm=0).data
    corrected = amplitude_contrast(image).data
    edge = max(1, int(radius / 3))
    one, other, film = (ndimage.binary_erosion(composition == kind, iterations=edge)
                        for kind in (1.0, 1.3, 0.0))
    inside = one | other
    slope = (found * truth)[inside].sum() / (truth[inside] ** 2).sum()
    x = np.arange(SIDE) / SIDE
    left, right = one & (x < 0.3), one & (x > 0.7)
    there = left.any() and right.any()
    wedge = [values[left].mean() / values[right].mean() if there else np.nan
             for values in (truth, corrected)]
    return [slope, 100 * found[film].mean() / truth[inside].mean(), *wedge,
            corrected[other].mean() / corrected[one].mean()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=4)
    pictures = parser.parse_args().pictures
    print(f"{pictures} pictures of {SIDE} x {SIDE} pixels a line; contrast {CONTRAST} in the "
          "middle; mean ± spread")
    print("modality  electrons  radius  objects        slope         film  thickness      after"
          "  composition")
    for modality, dose, radius, share in product(("TEM", "HAADF"), DOSES, RADII_PX, SHARES):
        rng = np.random.default_rng([dose, radius, int(100 * share)])
        all_of = np.array([errors(rng, modality, dose, radius, share) for _ in range(pictures)])
        mean, spread = np.nanmean(all_of, axis=0), np.nanstd(all_of, axis=0)
        print(f"{modality:8s}  {dose:9d}  {radius:6d}  {100 * share:5.0f} %  "
              f"{mean[0]:.3f} ± {spread[0]:.3f}  {mean[1]:+5.1f} ± {spread[1]:3.1f}"
              f"  {mean[2]:9.2f}  {mean[3]:9.2f}  {mean[4]:11.2f}")


if __name__ == "__main__":
    main()
