"""Write docs/validation/eds.md: what `eds` finds in real spectra, beside what is known of them.

Run it in the repository: ``python docs/make_eds_report.py [FOLDER] [--pictures FOLDER]``; without a
folder it takes ``EMTOOLS_REAL_DATA`` or ``../shared/data`` beside the repository (see
docs/real_data.md).  Pictures to look at go to the folder named for them.
"""

from __future__ import annotations

import argparse
import os
import re
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import emtools
from emtools.errors import EmtoolsError
from emtools.figures import pictures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emtools import Image, Result

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Known:
    """A file, and what is known of it from elsewhere.

    Parameters
    ----------
    file, signal
        Where it is.
    truth
        What origin or vendor say.
    belief
        What the result is worth, written by hand after looking at the pictures.
    parameters
        That it is measured with.
    """

    file: str
    signal: str | None
    truth: str
    belief: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


KNOWN = (
    Known("exspy/EDS_TEM_FePt_nanoparticles.hspy", None,
          "FePt particles; with these k-factors eXSpy's guide has Fe 15.41, Pt 84.59 at.%, from "
          "windows", "The alloy: the same as the guide has from windows, to within counting.",
          {"elements": ("Fe", "Pt"), "k_factors": {"Fe_Ka": 1.450226, "Pt_La": 5.075602}}),
    Known("exspy/EDS_TEM_FePt_nanoparticles.hspy", None,
          "the same, nothing said: computed k-factors, all elements",
          "The main elements, and Fe : Pt to 2 % of the ratio with the maker's k-factors. Zr is a "
          "small peak of its own at 15.8 keV, Co one beside Fe K beta; Yb is what is left of "
          "line shapes."),
    Known("particlespy/SiO2 EDS Spectrum Image.hspy", None,
          "SiO2 spheres on a carbon film, Si : O = 1 : 2; energy axis 0.03 keV too high",
          "The shift, the maps of Si and O, and that Cu is everywhere. The peaks are no "
          "Gaussians (the residuals alternate within each of them), and the errors are larger "
          "for it. O : Si is 1.37 instead of 2: computed k-factors know nothing of what window "
          "this detector has, and of absorption of O K in stacks of 60 nm spheres. Give "
          "k-factors.",
          {"left_out": ("C", "Cu", "Al")}),
    Known("openncem/L2083/0.bcf", "EDX",
          "15 elements listed by the maker's software, 13 counts a pixel",
          "O, Mg, Si, Ti, Fe, Cu, Ga, Pt and Ca, Al, C, whose maps show where they are (Ga "
          "and Pt of the preparation, Cu beside them). Co, Ni and Zr are narrow peaks that are "
          "everywhere alike: of the pole piece or the holder. K is doubtful. One photon in seven "
          "of this detector loses some of its charge; the counts hold these too."),
    Known("rosettasciio/jeol/rawdata.ASW", "EDS extracted from View000_0000006.pts",
          "Fe, S, O, C, Cu; lines within 0.01 keV",
          "All five, and the weak lines of Si, Cl, Ca, Cr and Zn, which are peaks in the "
          "spectrum. P and Au lie in the tail of S, which is ten per cent of it, and C at the "
          "edge of what is fitted; these are doubtful."),
    Known("rosettasciio/emd/Test SI 16x16 215 kx.emd", "EDS 5",
          "Ca, C, O, Cu by the maker; 258 counts in all",
          "Ca; Cu rests on two counts where none were expected. C and O are not significant "
          "in so few."),
    Known("rosettasciio/bruker/P45_the_default_job.bcf",
          "EDX", "a mineral in an SEM, bulk",
          "The elements of a feldspar. Compositions of bulk specimens need corrections that "
          "are not made here."),
    Known("rosettasciio/bruker/Hitachi_TM3030Plus.bcf", "EDX", "a copper part in an SEM, bulk",
          "The elements; bulk, as above."),
    Known("exspy/EDS_SEM_TM002.hspy", None,
          "Al, C, Cu, Mn, Zr in an SEM, bulk",
          "All five, and Ar, of the air in the chamber, where Ag L would lie too; O is of the "
          "surface."),
    Known("rosettasciio/phenom/Elid2Version4.elid",
          "Image 1, Map 3", "in an SEM, bulk", "The main elements; bulk, as above."),
    Known("rosettasciio/tia/new/16x16-spectrum_image_5x5x4000-not_square.emi", None, "no counts",
          "Said so."),
)


def measured(data: Path, known: Known) -> tuple[Image, Result | str, float]:
    """Return image, result (or why there is none) and seconds."""
    path = data / known.file
    image = emtools.read_one(path, known.signal) if known.signal else emtools.read_one(path)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result: Result | str = emtools.eds(image, **known.parameters)
    except EmtoolsError as error:
        result = str(error).replace(str(data), "")
    return image, result, time.perf_counter() - start


def section(known: Known, image: Image, result: Result | str, took: float) -> list[str]:
    """Lines of the page about one file."""
    shape = " x ".join(str(n) for n in image.shape)
    lines = [f"## `{known.file}`", "",
             f"{shape}{f', signal {known.signal}' if known.signal else ''}.  Known: {known.truth}.",
             ""]
    if known.parameters:
        given = ", ".join(f"{name} = {value}" for name, value in known.parameters.items())
        lines += [f"Given: {given}.", ""]
    if isinstance(result, str):
        return [*lines, f"No result: {result}", "", f"Worth: {known.belief}", ""]
    said = result.summary
    lines += [f"**{result.outcome}**; {said.get('counts', 0):,.0f} counts, {took:.1f} s."]
    if "energy_shift_eV" in said:
        lines += [f"Axis off by {said['energy_shift_eV']:+.1f} eV and "
                  f"{said['energy_stretch_percent']:+.2f} %; Mn Ka {said['mn_ka_fwhm_eV']:.0f} eV."]
    lines += [f"Overlaps: {said['overlaps']}."] if "overlaps" in said else []
    lines += [f"{said['misfit'].capitalize()}."] if "misfit" in said else []
    lines += [f"Also in the spectrum: {said['also_in_the_spectrum']}."] \
        if "also_in_the_spectrum" in said else []
    table = result.tables["composition"]
    if len(table):
        lines += ["", "| element | line | counts | at.% | by counting | by k-factors | limit |",
                  "|---|---|---|---|---|---|---|"]
    for row in table[table["region"] == "all"].itertuples():
        cells = [f"{value:.2f}" if np.isfinite(value) else "" for value in (
            row.atomic_percent, row.atomic_percent_err, row.atomic_percent_k_err,
            row.limit_atomic_percent)]
        lines.append(f"| {row.element} | {row.line} | {row.counts:,.0f} ± {row.counts_err:,.0f} | "
                     + " | ".join(cells) + " |")
    return [*lines, "", f"Worth: {known.belief}", ""]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    data = given.folder or Path(os.environ.get("EMTOOLS_REAL_DATA",
                                               REPOSITORY.parent / "shared" / "data"))
    lines = ["# Real spectra", "",
             "Made by `python docs/make_eds_report.py`; what follows 'Worth' is written by hand, "
             "after looking at the pictures.  k-factors are computed for a windowless silicon "
             "drift detector unless given.", ""]
    for number, known in enumerate(KNOWN):
        image, result, took = measured(data, known)
        lines += section(known, image, result, took)
        if given.pictures is not None and not isinstance(result, str):
            given.pictures.mkdir(parents=True, exist_ok=True)
            stem = re.sub(r"\W+", "_", known.file)
            for kind, figure in pictures(image, result).items():
                figure.savefig(given.pictures / f"{number}_{stem}_{kind}.png", dpi=150)
    page = REPOSITORY / "docs" / "validation" / "eds.md"
    page.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
