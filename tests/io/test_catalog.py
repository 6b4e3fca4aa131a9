"""Every real file of the catalogue opens as the catalogue says, or the difference is explained."""

import json
import math

import pytest

from conftest import real_data_folder
from emtools import io
from emtools.errors import ReadError, UnitError
from emtools.model.calibration import PLAUSIBLE_PIXEL
from emtools.units import parse_unit

pytestmark = pytest.mark.real

FOLDER = real_data_folder()
ENTRIES = [] if FOLDER is None else json.loads((FOLDER / "catalog.json").read_text())

# The catalogue is a reading by HyperSpy; here the files themselves say more, with the reason.
DIFFERENT = {
    # HyperSpy has no rule for ImageJ's unit where the resolution tag's unit is 'none': the file
    # says 'unit=nm' and so many pixels per unit, which is also the number in the file's name.
    **{f"superlattice/scalebars/Scale_{name}px_nm.tif": (size, "nm") for name, size in
       (("0p532", 1 / 0.532062), ("2", 0.5), ("5p14", 1 / 5.14), ("9p4", 1 / 9.4))},
}
_LENGTHS_ON_THE_DETECTOR = {"cm"}


def expected(entry, axis):
    """(pixel size, unit) of an axis of the catalogue, or None where it must be in px."""
    stated = entry["pixel_size"]
    size, unit = stated.get(axis), stated.get("unit_y" if axis == "y" else "unit")
    if size is None or unit in _LENGTHS_ON_THE_DETECTOR:
        return None
    try:
        canonical = parse_unit(unit)
    except UnitError:
        return None
    if canonical.name not in PLAUSIBLE_PIXEL:
        return None
    low, high = PLAUSIBLE_PIXEL[canonical.name]
    value = abs(size) * canonical.factor
    return (value, canonical.name) if low <= value <= high else None


def the_same_signal(images, entry):
    """The image of the file that has the shape and, if any has, the type of the main signal."""
    fitting = [image for image in images if image.shape == tuple(entry["shape"])]
    return min(fitting, key=lambda image: str(image.data.dtype) != entry["dtype"])


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["file"] for entry in ENTRIES])
def test_entry(entry, real_data):
    path = real_data / entry["file"]
    if entry["kind"] == "broken":
        with pytest.raises(ReadError) as caught:
            io.read(path)
        assert path.name in str(caught.value)
        assert caught.value.advice
        return
    images = io.read(path, scale_bars="ignore")  # what the file itself states
    assert len(images) == entry["n_signals"]
    names = [image.source.signal for image in images]
    assert len(set(names)) == len(names)
    image = the_same_signal(images, entry)
    for axis in ("y", "x"):
        if not image.has_axis(axis):
            continue
        found = image.axis(axis)
        size_unit = DIFFERENT.get(entry["file"]) or expected(entry, axis)
        if size_unit is None:
            assert found.unit == "px"
            assert found.pixel_size == 1.0
            assert any("px" in note for note in image.audit)
        else:
            assert found.unit == size_unit[1]
            # RosettaSciIO rounds Olympus' pixel size to 1e-15 m (1e-6 nm); the tag is exact.
            assert math.isclose(found.pixel_size, size_unit[0], rel_tol=1e-6, abs_tol=1e-7)
            assert found.source == "file"
    values = image.load() if image.data.size < 3e7 else image.data[:2].compute()
    assert values.dtype.isnative


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["file"] for entry in ENTRIES])
def test_describe_is_plain(entry, real_data):
    if entry["kind"] == "broken":
        return
    for image in io.read(real_data / entry["file"]):
        json.dumps(io.describe(image), allow_nan=False)


def test_best_picture_of_a_file_with_many(real_data):
    emd = real_data / "rosettasciio" / "emd"
    assert io.read_one(emd / "FFTComplexEven.emd").source.signal == "HAADF"
    assert io.read_one(emd / "Test SI 16x16 215 kx.emd").source.signal == "HAADF"
    sis = io.read_one(real_data / "rosettasciio" / "tiff" / "olympus_SIS.tif")
    assert sis.pixel_size("nm") == pytest.approx((0.0239279,) * 2, rel=1e-4)
    with pytest.raises(ReadError, match="0: Half FFT, 1: HAADF"):
        io.read_one(emd / "FFTComplexEven.emd", "BF")
    assert io.read_one(emd / "FFTComplexEven.emd", 0).source.signal == "Half FFT"


def test_project_files_are_read_once(real_data):
    files, left_out, parts = io.find_files(real_data / "rosettasciio" / "jeol")
    assert [file.name for file in files] == ["181019-BN.ASW", "rawdata.ASW"]
    assert all("JEOL project" in reason for reason in left_out.values())
    assert {part for own in parts.values() for part in own} == set(left_out)
    files, left_out, _ = io.find_files(real_data / "openncem")
    assert real_data / "openncem" / "16_STOimage_1.ser" in left_out
    assert left_out[real_data / "openncem" / "16_STOimage_1.ser"] == "part of 16_STOimage.emi"
    assert real_data / "openncem" / "16_STOimage.emi" in files


@pytest.mark.parametrize(("file", "field", "value"), [
    ("openncem/16_STOimage.emi", "camera_length_mm", 116.0),
    ("openncem/16_STOimage.emi", "beam_energy_keV", 80.0),
    ("openncem/16_STOimage.emi", "dwell_time_s", 29e-6),
    ("openncem/16_STOimage.emi", "date", "2011-10-18T18:18:46"),
    ("openncem/16_STOimage.emi", "modality", "STEM"),
    ("openncem/Camera Ceta Diffraction Micro.emd", "camera_length_mm", 378.0),
    ("openncem/Camera Ceta Diffraction Micro.emd", "modality", "SAED"),
    ("openncem/STEM HAADF Diffraction Micro.emd", "modality", "HAADF"),
    ("openncem/STEM HAADF Diffraction Micro.emd", "dwell_time_s", 1e-5),
    ("rosettasciio/blockfile/test1.blo", "camera_length_mm", 200.0),
    ("rosettasciio/blockfile/test1.blo", "modality", "4D-STEM"),
    ("rosettasciio/digitalmicrograph/2D/multi_signal.dm3", "modality", "HAADF"),
    ("rosettasciio/digitalmicrograph/2D/multi_signal.dm3", "camera_length_mm", 77.0),
    ("rosettasciio/digitalmicrograph/2D/test_diffraction_pattern.dm3", "modality", "SAED"),
    ("rosettasciio/tiff/JEOL-SightX-SAED-dummy.tif", "camera_length_mm", 400.0),
    ("rosettasciio/tiff/TVIPS_bin4.tif", "beam_energy_keV", 99.0),
    ("rosettasciio/tiff/test_tiff_Zeiss_SEM_512pix.tif", "magnification", 50000.0),
    ("rosettasciio/tiff/FEI-Helios-Ebeam-16bits.tif", "modality", "SEM"),
    ("rosettasciio/digitalmicrograph/3D/EELS_SI.dm4", "modality", "EELS"),
    ("particlespy/SiO2 EDS Spectrum Image.hspy", "modality", "EDS"),
    ("atomsegnet/03_afterimage_8nm_crp.png", "modality", None),
    ("openncem/16_STOimage_1.ser", "beam_energy_keV", None),
])
def test_acquisition_says_what_the_file_says(real_data, file, field, value):
    found = getattr(io.read_one(real_data / file).acquisition, field)
    assert found == (pytest.approx(value) if isinstance(value, float) else value)


def test_eels_spectrum_image_has_its_energies_last(real_data):
    image = io.read_one(real_data / "rosettasciio/digitalmicrograph/3D/EELS_SI.dm4")
    assert [axis.name for axis in image.axes] == ["y", "x", "energy"]
    assert image.shape == (2, 2, 2048)
    assert image.axis("energy").unit == "keV"
    hs = pytest.importorskip("hyperspy.api")
    signal = hs.load(real_data / "rosettasciio/digitalmicrograph/3D/EELS_SI.dm4")
    assert (image.load() == signal.data).all()


def test_a_negative_step_is_a_flipped_axis(real_data):
    folder = real_data / "rosettasciio" / "tia" / "new"
    image = io.read_one(folder / "16x16-spectrum_image_5x5x4000-not_square.emi")
    y = image.axis("y")
    assert y.flipped
    assert y.pixel_size == pytest.approx(4.2581937)
    assert y.coordinates()[1] < y.coordinates()[0]
    assert any("not square" in note for note in image.audit)
