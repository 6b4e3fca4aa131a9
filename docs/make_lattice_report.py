"""Write docs/validation/lattice.md: what `lattice` finds in real images.

Run it in the repository: ``python docs/make_lattice_report.py [FOLDER]``; without a folder it takes
``EMTOOLS_REAL_DATA`` or ``../shared/data`` beside the repository (see docs/real_data.md).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emtools import EmtoolsError, Image, InstrumentCalibration, Result, calibrate, lattice, read

if TYPE_CHECKING:
    from emtools.model.calibration import Axis

REPOSITORY = Path(__file__).resolve().parents[1]
SHOWN = 14  # reflections of a table
HEAD = """# Lattices in real images

Written by `docs/make_lattice_report.py` from the files of [real_data.md](../real_data.md).  σ is
statistical; the scale's own uncertainty (2.5 % where a file states none) is common to all spacings
of an image and not in the table.  The verdicts at the end of each section are written by hand for
the measurement as it was then.
"""


@dataclass(frozen=True)
class Known:
    """An image, what is known of it, and what its result is worth.

    Parameters
    ----------
    file
        In the folder of real images.
    material
        What the source says.
    phases
        Candidates.
    belief
        What to think of the result.
    pixel_nm
        Pixel size that the file does not state but its source does.
    """

    file: str
    material: str
    phases: tuple[str, ...] = ()
    belief: str = ""
    pixel_nm: float | None = None


LATTICES = (
    Known("openncem/16_STOimage_1.ser", "HAADF of SrTiO3 [001] (named by the file)", ("SrTiO3",),
          "grain 1: its spacings and their indices; they agree on one affine to parts in 10^3.  "
          "The scale of the file is 3.4 % off and the scan is sheared by 1.2°, so that the "
          "spacings are right for this image and not for the crystal.  Any further grain of one "
          "spot of about 0.1 nm is the scan's (its jumps run near the spot), not the crystal's."),
    Known("openncem/Acquisition_18.emd", "HAADF, a perovskite-like square lattice, not stated",
          ("SrTiO3",),
          "the spacings of 0.411, 0.409, 0.2928, 0.2871, 0.2054 and 0.2044 nm and their higher "
          "orders, at 91.1°.  Where no free lattice is given for the grain, the faint spots that "
          "lie off it are the reason, and with it the lack of a phase.  0.2348 nm is no "
          "reflection of this square lattice and may be the scan's."),
    Known("atomap/test_ADF_cropped.hdf5", "ADF of SrTiO3 [110]", ("SrTiO3",),
          "all of it: 20 reflections on one lattice, the phase and the zone are the ones stated, "
          "scale within 0.2 %, anisotropy 0.7 %.",
          pixel_nm=0.0093262702),
    Known("atomap/simulated_nanoparticle.hspy", "simulated HAADF, fcc-type [110], no scale",
          ("Au", "Pt"),
          "the first nine spacings and the zone; without a scale Au and Pt cannot be told apart, "
          "as it says.  A second grain is the same crystal seen again at its rim."),
    Known("atomsegnet/Si110_5nmX25us_03_none_none.png", "HAADF of Si [110] (file name), no scale",
          ("Si",),
          "phase and zone.  The scan jumps, so that the spacings along y are uncertain by 1 %, "
          "and their stated σ says so; spots below SNR 7 are at the edge of what can be told."),
    Known("atomsegnet/03_afterimage_8nm_crp.png", "HAADF, not stated, no scale", (),
          "31.8, 31.4, 18.9, 17.2 and 17.0 px, which make one lattice.  28.84 and 14.4 px at 0° "
          "and what lies below 6 px is the scan's, and is not the crystal's."),
    Known("rosettasciio/tiff/olympus_SIS.tif", "HRTEM, small crop, one set of fringes", (),
          "8.11 px at 117.6°: the one set of fringes (0.1941 nm at 23.93 pm, which the file "
          "states in m)."),
    Known("hrtem-soot/ExampleImage.tif", "HRTEM of soot: bent graphene stacks, no single crystal",
          ("graphite",),
          "that there are stacks of about 0.35 nm here and there; the one seen best is given.  "
          "Short bent stacks are mostly left out: a map of them is another measurement.",
          pixel_nm=0.0555),
)
NONE = (
    ("rosettasciio/digitalmicrograph/2D/multi_signal.dm3", "texture"),
    ("openncem/STEM HAADF Diffraction Micro.emd", "mains hum, no specimen"),
    ("openncem/STEM HAADF-DF4-DF2-BF Diffraction Micro.emd", "no specimen"),
    ("openncem/Camera Ceta Diffraction Micro.emd", "detector noise in 1/nm"),
    ("rosettasciio/digitalmicrograph/2D/test_STEM_image.dm3", "noise"),
    ("rosettasciio/tiff/TVIPS_bin4.tif", "blank, four read-out quadrants"),
    ("rosettasciio/tiff/JEOL-SightX-TEM-mag-dummy.tif", "blank"),
    ("openncem/temp.mrc", "random numbers"),
    ("haadf-atoms-ptnc/021_HAADF_15nm_Sample_PtNC_21Oct20.tif", "single atoms on carbon"),
    ("haadf-atoms-ptnc/051_HAADF_15nm_Sample_PtNC_21Oct20.tif", "single atoms on carbon"),
    ("haadf-atoms-re-pt/Ptporph1.tif", "single atoms"),
    ("haadf-atoms-re-pt/Ptporph12.tif", "single atoms"),
    ("haadf-atoms-re-pt/bpy_crop9.png", "single atoms"),
    ("particlespy/JEOL HAADF Image.dm4", "particles, 1.2 nm pixels"),
    ("particlespy/SiO2 HAADF Image.hspy", "particles, 8.6 nm pixels"),
    ("rosettasciio/tia/old/03_Scanning Preview.emi", "islands, 0.38 nm pixels"),
    ("rosettasciio/emd/FFTComplexEven.emd", "cross-grating, 27 nm pixels"),
    ("rosettasciio/emd/Si100_3D.emd", "coarse simulation, not resolved"),
    ("rosettasciio/tiff/test_loading_image_saved_with_imageJ_no_scale.tif", "noise, no scale"),
    ("nanoparticle-yolo/images/PtCo.jpg", "particles, no scale"),
    ("nanoparticle-yolo/images/Ru3.jpg", "particles, no scale"),
    ("nanoparticle-yolo/images/PtCo3.jpg", "particles, no scale"),
    ("emps/images/257e44104b.png", "overview, no scale"),
    ("emps/images/3f97a9e821.png", "overview, no scale"),
    ("emps/images/97e645b56e.png", "overview, no scale"),
)


def main(arguments: list[str]) -> None:
    """Write the page."""
    default = os.environ.get("EMTOOLS_REAL_DATA") or REPOSITORY.parent / "shared" / "data"
    folder = Path(arguments[0] if arguments else default)
    page = HEAD
    for one in LATTICES:
        if (folder / one.file).exists():
            page += section(folder, one)
    if (folder / LATTICES[0].file).exists():
        page += halves(first(folder / LATTICES[0].file))
    page += without(folder)
    target = REPOSITORY / "docs" / "validation" / "lattice.md"
    target.write_text(page, encoding="utf-8")


def first(path: Path) -> Image:
    """Return the first picture of a file."""
    images = list(read(path))
    return next(image for image in images if len(image.data.shape) >= 2)


def section(folder: Path, one: Known) -> str:
    """Return the tables of one image."""
    image = first(folder / one.file)
    if one.pixel_nm is not None:
        image = image.calibrated(one.pixel_nm, "nm")
    result = lattice(image, phases=one.phases)
    lines = [f"\n## `{one.file}`\n", f"{one.material}.  {image.data.shape[0]} x "
             f"{image.data.shape[1]} px.  **{result.summary['outcome']}.**\n"]
    lines += [f"- {key}: {result.summary[key]}" for key in
              ("phase", "scale_measured_over_reference", "distortion") if key in result.summary]
    if len(result.tables["reflections"]):
        lines += ["", *spacings(result), "", *grains(result)]
    affine = distortion(image, one)
    if affine:
        lines += ["", affine]
    if one.belief:
        lines += ["", f"What to believe: {one.belief}"]
    return "\n".join(lines) + "\n"


def spacings(result: Result) -> list[str]:
    """Return the table of reflections."""
    table = result.tables["reflections"]
    unit = "px" if "d_spacing_px" in table else "nm"
    shown = table.nlargest(SHOWN, "snr").sort_values("reflection")
    lines = [f"| grain | d ({unit}) | σ | direction (°) | σ | SNR | domain ({unit}) | plane | "
             "reference d | flags |", "|---|---|---|---|---|---|---|---|---|---|"]
    for row in shown.to_dict("records"):
        flags = ", ".join(name for name in ("ambiguous", "few_fringes", "harmonic") if row[name])
        reference = row[f"d_reference_{unit}"]
        plane = f"{row['phase']} {row['hkl']}" if row["phase"] else ""
        lines.append(f"| {row['grain']} | {row[f'd_spacing_{unit}']:.5g} | "
                     f"{row[f'd_spacing_err_{unit}']:.1g} | {row['angle_deg']:.2f} | "
                     f"{row['angle_err_deg']:.2g} | {row['snr']:.0f} | "
                     f"{row[f'domain_{unit}']:.3g} | {plane} | "
                     f"{'' if pd.isna(reference) else f'{reference:.5g}'} | {flags} |")
    if len(table) > SHOWN:
        lines.append(f"\n{len(table) - SHOWN} fainter reflections are left out.")
    return lines


def grains(result: Result) -> list[str]:
    """Return a line for each of the largest grains."""
    table = result.tables["grains"]
    unit = "px" if "u_px" in table else "nm"
    lines = []
    for row in table.nlargest(5, f"area_{unit}2").to_dict("records"):
        name = f"{row['phase']} [{row['zone_axis']}]" if row["phase"] else "not indexed"
        rival = f", then {row['runner_up']}" if row["runner_up"] else ""
        lattice_text = "spots in one row" if pd.isna(row[f"v_{unit}"]) else (
            f"u {row[f'u_{unit}']:.5g}, v {row[f'v_{unit}']:.5g} {unit}, "
            f"{row['uv_angle_deg']:.2f} ± {row['uv_angle_err_deg']:.2g}°")
        lines.append(f"- grain {row['grain']}: {lattice_text}; {name}, score {row['score']:.2f}"
                     f"{rival}{', ambiguous' if row['ambiguous'] else ''}")
    if len(table) > len(lines):
        lines.append(f"- {len(table) - len(lines)} smaller grains")
    return lines


def distortion(image: Image, one: Known) -> str:
    """Return the affine that the known phase shows, or why there is none."""
    if len(one.phases) != 1:
        return ""
    try:
        return f"Affine against {one.phases[0]}: {affine_text(calibrate(image, one.phases[0]))}"
    except EmtoolsError as error:
        return f"Affine: none; {error.reason}."


def affine_text(found: InstrumentCalibration) -> str:
    """Return scale, anisotropy and shear in words."""
    off = found.square
    return (f"scale {off.scale:.4f} ± {found.scale_err:.4f}, anisotropy (y over x) "
            f"{100 * off.anisotropy:+.2f} ± {100 * found.anisotropy_err:.2f} %, shear "
            f"{off.shear_deg:+.2f} ± {found.shear_err_deg:.2f}°, from {found.n_reflections} "
            "reflections.")


def halves(image: Image) -> str:
    """Calibrate on one half of SrTiO3 and measure the other, all four ways."""
    n_y, n_x = image.data.shape
    parts = {"left": (slice(0, n_y), slice(0, n_x // 2)),
             "right": (slice(0, n_y), slice(n_x // 2, n_x)),
             "top": (slice(0, n_y // 2), slice(0, n_x)),
             "bottom": (slice(n_y // 2, n_y), slice(0, n_x))}
    lines = ["\n## SrTiO3: calibrated on one half, tested on the other\n",
             "Handbook: 0.3905 nm, 90°.\n",
             "| calibrated on | tested on | d before (nm), angle | d after (nm), angle | "
             "off by | affine of the calibration |", "|---|---|---|---|---|---|"]
    for one, other in (("left", "right"), ("right", "left"), ("top", "bottom"), ("bottom", "top")):
        test = cut(image, *parts[other])
        before = cell(lattice(test, phases=("SrTiO3",)))
        try:
            found = calibrate(cut(image, *parts[one]), "SrTiO3")
        except EmtoolsError as error:
            lines.append(f"| {one} | {other} | {text(before)} | | | none; {error.reason} |")
            continue
        after = cell(lattice(found.apply(test), phases=("SrTiO3",)))
        off = (f"{100 * (after[0] / 0.3905 - 1):+.2f} %, {100 * (after[1] / 0.3905 - 1):+.2f} %, "
               f"{after[2] - 90:+.2f}°")
        lines.append(f"| {one} | {other} | {text(before)} | {text(after)} | {off} | "
                     f"{affine_text(found)} |")
    return "\n".join(lines) + "\n"


def cut(image: Image, rows: slice, columns: slice) -> Image:
    """Return a part of an image."""
    axes: list[Axis] = []
    for axis, span in zip(image.axes, (rows, columns), strict=True):
        axes.append(replace(axis, size=span.stop - span.start))
    return replace(image, data=np.ascontiguousarray(image.load()[rows, columns]), axes=tuple(axes))


def cell(result: Result) -> tuple[float, float, float]:
    """Return both vectors of the largest crystal and their angle."""
    table = result.tables["grains"]
    row = table.loc[table["area_nm2"].idxmax()]
    return float(row["u_nm"]), float(row["v_nm"]), float(row["uv_angle_deg"])


def text(found: tuple[float, float, float]) -> str:
    """Return a cell in words."""
    return f"{found[0]:.4f}, {found[1]:.4f}; {found[2]:.2f}°"


def without(folder: Path) -> str:
    """Return the table of images that show no lattice."""
    lines = ["\n## Images without a lattice\n", "| file | what it is | outcome |", "|---|---|---|"]
    for file, what in NONE:
        if not (folder / file).exists():
            continue
        for image in read(folder / file):
            try:
                outcome = str(lattice(image).summary["outcome"])
            except EmtoolsError as error:
                outcome = f"refused: {error.reason}"
            lines.append(f"| `{file}` | {what} | {outcome.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
