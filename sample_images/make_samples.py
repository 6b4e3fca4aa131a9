"""Write the sample images, their true values and README.md, the same bytes each time.

``python sample_images/make_samples.py`` writes into the folder of this script (or ``--into``);
``--check`` writes nothing and fails if what is there differs.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import imageio.v3 as iio
import numpy as np
import tifffile
from rsciio import emd, tiff
from rsciio.hspy._api import HyperspyWriter

from emtools import simulate
from emtools.model import Image

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
Tables = dict[str, Any]
Made = tuple[list[Image], Tables]
# Tables that go to truth/; centrelines are long and follow from the dots.
KEPT = ("chains", "gaps", "dots", "reflections", "grains", "angles", "composition")


@dataclass(frozen=True)
class Sample:
    """One file: its name, what it shows, how it is made and written."""

    file: str
    shows: str
    make: Callable[[], Made]
    write: Callable[[Path, list[Image]], None]
    calibration: str = ""


def one(made: tuple[Image, Tables]) -> Made:
    """Make a list of the single image."""
    return [made[0]], made[1]


def counts(image: Image, kind: type = np.uint16) -> Any:
    """Return the counts as integers, clipped to what the type holds."""
    return np.clip(np.rint(image.load()), 0, np.iinfo(kind).max).astype(kind)


def grey(image: Image) -> Any:
    """Return the image as an exported 8-bit picture: contrast stretched, 0.1 % clipped."""
    data = image.load()
    low, high = np.quantile(data, [0.001, 0.999])
    return np.rint(255 * np.clip((data - low) / (high - low), 0, 1)).astype(np.uint8)


def dictionary(image: Image, data: Any, title: str) -> dict[str, Any]:
    """Return the signal as RosettaSciIO's writers take it."""
    spectral = image.has_axis("energy")
    axes = [
        {"_type": "UniformDataAxis", "name": axis.name.capitalize() if spectral else axis.name,
         "size": axis.size, "scale": axis.pixel_size, "offset": axis.offset, "units": axis.unit,
         "is_binned": axis.name == "energy", "index_in_array": index,
         "navigate": spectral and axis.name != "energy"}
        for index, axis in enumerate(image.axes)
    ]
    tem: dict[str, Any] = {"beam_energy": image.acquisition.beam_energy_keV,
                           "acquisition_mode": "TEM" if image.acquisition.modality == "TEM"
                           else "STEM"}
    if spectral:
        tem["Detector"] = {"EDS": {"energy_resolution_MnKa": 130.0}}
    metadata = {
        "General": {"title": title},
        "Signal": {"signal_type": "EDS_TEM" if spectral else ""},
        "Acquisition_instrument": {"TEM": tem},
    }
    return {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {},
            "attributes": {"_lazy": False, "ragged": False}, "learning_results": {},
            "tmp_parameters": {}, "models": {},
            # A version would change the bytes with every update of the writer.
            "package_info": {"package": "exspy" if spectral else "hyperspy",
                             "package_version": ""}}


def write_hspy(path: Path, images: list[Image]) -> None:
    """Write all images as signals of one HyperSpy file.

    RosettaSciIO's `file_writer` can only make files of one signal, so its writer is given a group.
    """
    with h5py.File(path, "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="3.3")
        for image in images:
            title = image.acquisition.modality if len(images) > 1 else "image"
            signal = dictionary(image, counts(image), str(title))
            group = file.require_group(f"Experiments/{title}")
            HyperspyWriter(file, signal, group, chunks=None, compression="gzip",
                           write_dataset=True, show_progressbar=False).write()


def write_emd(path: Path, images: list[Image]) -> None:
    """Write an NCEM EMD file."""
    emd.file_writer(str(path), dictionary(images[0], counts(images[0]), "image"))


def write_tiff(path: Path, images: list[Image]) -> None:
    """Write a TIFF whose pixel size ImageJ and DigitalMicrograph both find."""
    data = counts(images[0], np.uint8)
    tiff.file_writer(str(path), dictionary(images[0], data, "image"), export_scale=True)


def write_plain_tiff(path: Path, images: list[Image]) -> None:
    """Write an exported picture: 8 bits, nothing about the scale in the file."""
    tifffile.imwrite(path, grey(images[0]), software=False, metadata=None)


def write_png(path: Path, images: list[Image]) -> None:
    """Write an exported picture without calibration."""
    iio.imwrite(path, grey(images[0]), extension=".png")


def write_mrc(path: Path, images: list[Image]) -> None:
    """Write an MRC2014 file of 16-bit integers; cell lengths are in Å."""
    data = counts(images[0], np.int16)
    rows, columns = data.shape
    size = 10.0 * images[0].pixel_size("nm")[1]
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, columns, rows, 1, 1, 0, 0, 0, columns, rows, 1)
    struct.pack_into("<6f", header, 40, columns * size, rows * size, size, 90, 90, 90)
    struct.pack_into("<3i3f", header, 64, 1, 2, 3, data.min(), data.max(), data.mean())
    header[208:212] = b"MAP "
    header[212:216] = bytes((0x44, 0x44, 0, 0))
    path.write_bytes(bytes(header) + data.astype("<i2").tobytes())


SAMPLES = [
    Sample(
        "pbs_chains_overview.tif", "PbS chains, HAADF overview: some leave the frame, two cross, "
        "isolated dots, uneven ground",
        lambda: one(simulate.chains(
            n_chains=8, n_dots=(20, 60), border_cuts=True, crossings=1, isolated_dots=6,
            background_gradient=0.1, counts=80, scan_noise_nm=0.05, rng=101)),
        write_tiff, "TIFF (ImageJ and DigitalMicrograph tags), nm"),
    Sample(
        "pbs_chains_detail.hspy", "PbS chains, HAADF detail: gaps resolved",
        lambda: one(simulate.chains(
            shape=(640, 640), pixel_size_nm=0.1, n_chains=3, n_dots=(7, 9), gap_std_nm=0.15,
            blur_nm=0.2, counts=60, persistence_length_nm=200, rng=102)),
        write_hspy, "hspy, nm"),
    Sample(
        "pbs_chains_banner.tif", "PbS chains, HAADF, exported with a banner: the scale bar is "
        "the only calibration",
        lambda: one(simulate.chains(
            shape=(800, 768), n_chains=6, n_dots=(15, 45), isolated_dots=3, counts=80,
            banner="unmasked", rng=103)),
        write_plain_tiff, "none; burnt-in bar"),
    Sample(
        "pbs_chains_tem.emd", "PbS chains, TEM: dark on bright, Fresnel fringes, film",
        lambda: one(simulate.chains(
            shape=(640, 640), pixel_size_nm=0.25, n_chains=4, n_dots=(9, 18), modality="TEM",
            counts=250, film=0.02, defocus_nm=150, background_gradient=0.05, rng=104)),
        write_emd, "NCEM EMD, nm"),
    Sample(
        "pbs_dots.emd", "PbS dots, HAADF: no chains",
        lambda: one(simulate.chains(
            shape=(512, 512), pixel_size_nm=0.3, n_chains=0, isolated_dots=60,
            diameter_std_nm=0.3, counts=80, rng=105)),
        write_emd, "NCEM EMD, nm"),
    Sample(
        "pbs_hrtem_001.mrc", "PbS [001], HRTEM, with an amorphous film",
        lambda: one(simulate.crystal(
            "PbS", (0, 0, 1), shape=(512, 512), pixel_size_nm=0.03, rotation_deg=12.5,
            modality="TEM", particle_nm=9.0, film=0.05, counts=400, rng=106)),
        write_mrc, "MRC, Å"),
    Sample(
        "pbs_chain_lattice.hspy", "PbS chain, HAADF, lattice resolved: {200} normals along the "
        "chain within a few degrees",
        lambda: one(simulate.chains(
            shape=(512, 768), pixel_size_nm=0.04, n_chains=1, n_dots=(5, 5), lattice="PbS",
            lattice_tilt_deg=4.0, blur_nm=0.1, counts=60, background=0.15, rng=107)),
        write_hspy, "hspy, nm"),
    Sample(
        "cuins2_eds.hspy", "CuInS2 chain: EDX spectrum image and HAADF of the same scan "
        "(nickel grid)",
        lambda: spectra("CuInS2", 108, grid="Ni"), write_hspy, "hspy, nm and keV"),
    Sample(
        "pbs_eds.hspy", "PbS chain: EDX spectrum image (S K under Pb M) and HAADF of the same "
        "scan (copper grid)",
        lambda: spectra("PbS", 109, grid="Cu"), write_hspy, "hspy, nm and keV"),
    Sample(
        "pbs_chains_uncalibrated.png", "PbS chains, HAADF, exported without any scale "
        "(0.5 nm a pixel in truth)",
        lambda: one(simulate.chains(
            shape=(512, 512), n_chains=4, n_dots=(12, 30), counts=80, rng=110)),
        write_png, "none"),
]


def spectra(composition: str, rng: int, grid: str) -> Made:
    """Make a spectrum image and its HAADF image."""
    images, truth = simulate.spectrum_image(composition, rng=rng, grid=grid)
    return list(images), truth


def true_values(truth: Tables) -> str:
    """Return a sample's true values in a few words with units."""
    words = []
    chains, dots = truth["chains"], truth["dots"]
    if len(chains):
        gap = truth["gaps"].gap_nm
        cut = int(chains.touches_edge.sum())
        number = "1 chain" if len(chains) == 1 else f"{len(chains)} chains"
        lengths = sorted({f"{x:.1f}" for x in (chains.length_nm.min(), chains.length_nm.max())},
                         key=float)
        words += [number + (f" ({cut} cut by the border)" if cut else ""),
                  f"length {' to '.join(lengths)} nm",
                  f"width {chains.width_nm.mean():.2f} nm",
                  f"gap {gap.mean():.2f} ± {gap.std():.2f} nm (spread)"]
        if chains.n_crossings.any():
            words.append(f"{chains.n_crossings.sum() // 2} crossing")
    if len(dots):
        words.append(f"{len(dots)} dots of {dots.diameter_nm.mean():.2f} ± "
                     f"{dots.diameter_nm.std():.2f} nm (spread)")
    if "composition" in truth:
        made = truth["composition"].dropna().drop_duplicates("element")
        words.append(" : ".join(made.element) + " = "
                     + " : ".join(f"{x:.4g}" for x in made.atomic_percent) + " at%")
    if len(truth.get("reflections", ())):
        seen = truth["reflections"].query("grain == 1").drop_duplicates("d_spacing_nm").head(2)
        words += [f"{{{''.join(str(abs(int(i))) for i in row.hkl.split())}}} "
                  f"{row.d_spacing_nm:.4f} nm at {row.angle_deg:.1f}°" for row in seen.itertuples()]
    return "; ".join(words)


def write_all(into: Path) -> None:
    """Write every sample, its true values and the README."""
    folder = into / "truth"
    folder.mkdir(parents=True, exist_ok=True)
    table = ["| file | calibration | shows | true values |", "|---|---|---|---|"]
    for sample in SAMPLES:
        images, truth = sample.make()
        sample.write(into / sample.file, images)
        stem = Path(sample.file).stem
        for name in KEPT:
            if name in truth and len(truth[name]):
                truth[name].to_csv(folder / f"{stem}.{name}.csv", index=False,
                                   float_format="%.6g", lineterminator="\n")
        words = true_values(truth)
        table.append(f"| `{sample.file}` | {sample.calibration} | {sample.shows} | {words} |")
    (into / "README.md").write_text(README.format(table="\n".join(table)), encoding="utf-8")


README = """# Sample images

Simulated by `emtools.simulate`, written by `make_samples.py` (`make samples`), the same bytes each
time. The true values of each file, object by object, are in `truth/<file>.<table>.csv`, with the
column names of the measurements' tables (the extra column `amplitude` is in image units,
`k_factor` is the one the simulation used). Chains and dots are counted as far as they lie in the
frame; angles are those of plane normals, counter-clockwise from the right (of the first dot, where
each dot is a crystal).

{table}
"""


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that this script writes, by path in the folder."""
    files = [folder / "README.md", *(folder / sample.file for sample in SAMPLES),
             *sorted((folder / "truth").glob("*.csv"))]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files if file.is_file()}


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    parser.add_argument("--into", type=Path, default=HERE, help="folder to write to or to check")
    arguments = parser.parse_args()
    if not arguments.check:
        write_all(arguments.into)
        for name in digests(arguments.into):
            size = (arguments.into / name).stat().st_size
            print(f"{size:9d} bytes  {name}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder))
        made, there = digests(Path(folder)), digests(arguments.into)
    wrong = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    for name in wrong:
        print(f"differs: {name}")
    print(f"{len(made) - len(wrong)} of {len(made)} files are as made")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
