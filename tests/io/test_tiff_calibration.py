"""Pixel sizes of TIFF files, in every dialect that is met in microscopy."""

import struct
from fractions import Fraction

import numpy as np
import pytest
import tifffile

from emtools import io
from emtools.errors import ReadError

PICTURE = (np.arange(48 * 64, dtype=np.uint16) % 997).reshape(48, 64)


def write(path, data=PICTURE, **options):
    tifffile.imwrite(path, data, **options)
    return path


def resolution(size):
    """Pixels per unit as TIFF stores it: a fraction."""
    fraction = Fraction(1 / size).limit_denominator(10**6)
    return (fraction.numerator, fraction.denominator)


def per_nm(path):
    return io.read_one(path).pixel_size("nm")


@pytest.mark.parametrize(("unit", "factor"), [
    ("nm", 1.0), ("micron", 1e3), ("um", 1e3), (r"\u00B5m", 1e3), (r"\u00C5", 0.1), ("pm", 1e-3),
    ("nanometer", 1.0), ("A", 0.1),
])
def test_imagej_lengths(tmp_path, unit, factor):
    path = write(tmp_path / "a.tif", imagej=True, resolution=(resolution(0.25), resolution(0.125)),
                 metadata={"unit": unit})
    image = io.read_one(path)
    assert image.pixel_size("nm") == pytest.approx((0.125 * factor, 0.25 * factor))
    assert image.source.reader == "tiff (ImageJ)"
    assert any("not square" in note for note in image.audit)
    np.testing.assert_array_equal(image.load(), PICTURE)


@pytest.mark.parametrize("unit", ["1/nm", "nm^-1", "1 / nm", "1/\\u00C5"])
def test_imagej_reciprocal_lengths(tmp_path, unit):
    path = write(tmp_path / "a.tif", imagej=True, resolution=(resolution(0.05),) * 2,
                 metadata={"unit": unit})
    factor = 10.0 if "C5" in unit else 1.0
    assert io.read_one(path).pixel_size("1/nm") == pytest.approx((0.05 * factor,) * 2)


@pytest.mark.parametrize("unit", ["pixel", "", "inch", "furlong", "cm"])
def test_imagej_without_a_length(tmp_path, unit):
    path = write(tmp_path / "a.tif", imagej=True, resolution=((72, 1), (72, 1)),
                 metadata={"unit": unit} if unit else {})
    image = io.read_one(path)
    assert image.axis("x").unit == "px"
    assert any("px" in note for note in image.audit)


def test_imagej_stack_has_frames(tmp_path):
    stack = np.stack([PICTURE, PICTURE + 1, PICTURE + 2])
    path = write(tmp_path / "a.tif", stack, imagej=True, resolution=(resolution(2.0),) * 2,
                 metadata={"axes": "ZYX", "unit": "nm", "spacing": 5.0})
    image = io.read_one(path)
    assert [axis.name for axis in image.axes] == ["frame", "y", "x"]
    assert image.axis("frame").pixel_size == 5.0
    assert image.lazy
    np.testing.assert_array_equal(image.select(frame=2).load(), stack[2])


@pytest.mark.parametrize(("unit", "factor"), [
    (None, 1e3), ("nm", 1.0), ("Å", 0.1), ("µm", 1e3), ("m", 1e9),
])
def test_ome(tmp_path, unit, factor):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5 / factor, "PhysicalSizeY": 0.25 / factor}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    path = write(tmp_path / "a.ome.tif", ome=True, metadata=metadata)
    assert per_nm(path) == pytest.approx((0.25, 0.5))


def test_ome_does_not_follow_other_files(tmp_path):
    secret = write(tmp_path / "secret.tif", PICTURE + 5)
    folder = tmp_path / "folder"
    folder.mkdir()
    path = write(folder / "a.ome.tif", ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.001})
    with tifffile.TiffFile(path) as tiff:
        text = tiff.ome_metadata
    evil = text.replace("<TiffData", '<TiffData FirstC="0"', 1).replace(
        "</Pixels>", f'<TiffData IFD="0"><UUID FileName="../{secret.name}">'
        "urn:uuid:0</UUID></TiffData></Pixels>")
    path = write(folder / "b.ome.tif", description=evil, metadata=None)
    for image in io.read(path):
        assert image.load().max() <= PICTURE.max()


def test_digital_micrograph(tmp_path):
    tags = [(65003, "s", 0, "nm", True), (65004, "s", 0, "nm", True),
            (65009, "d", 1, 0.25, True), (65010, "d", 1, 0.125, True)]
    path = write(tmp_path / "a.tif", extratags=tags, resolution=((72, 1), (72, 1)))
    assert per_nm(path) == pytest.approx((0.125, 0.25))
    assert io.read_one(path).source.reader == "tiff (DigitalMicrograph)"


def test_digital_micrograph_in_reciprocal_units(tmp_path):
    tags = [(65003, "s", 0, "1/nm", True), (65004, "s", 0, "1/nm", True),
            (65009, "d", 1, 0.02, True), (65010, "d", 1, 0.02, True)]
    path = write(tmp_path / "a.tif", extratags=tags)
    assert io.read_one(path).pixel_size("1/nm") == pytest.approx((0.02, 0.02))


def test_hitachi_description(tmp_path):
    text = ("[SemImageFile]\r\nInstructName=SU8230\r\nPixelSize=9.921875\r\nMagnification=10000\r\n"
            "AcceleratingVoltage=5000 Volt\r\n")
    image = io.read_one(write(tmp_path / "a.tif", description=text, metadata=None))
    assert image.pixel_size("nm") == pytest.approx((9.921875,) * 2)
    assert image.acquisition.beam_energy_keV == pytest.approx(5.0)
    assert image.acquisition.instrument == "SU8230"


def test_hitachi_text_of_no_stated_size_beside_the_picture_is_not_followed(tmp_path):
    path = write(tmp_path / "a.tif")
    (tmp_path / "a.txt").write_text("[SemImageFile]\nPixelSize=9.9\n")
    assert io.read_one(path).axis("x").unit == "px"


@pytest.mark.parametrize(("dots", "unit", "size_nm"), [
    (5e8, "CENTIMETER", 0.02), (1e7, "CENTIMETER", 1.0), (25_400_000, "INCH", 1.0),
    (26_000, "INCH", 25.4e6 / 26_000),
])
def test_a_plain_resolution_counts_where_no_printer_has_it(tmp_path, dots, unit, size_nm):
    path = write(tmp_path / "a.tif", resolution=(dots, dots), resolutionunit=unit, metadata=None)
    image = io.read_one(path)
    assert image.pixel_size("nm") == pytest.approx((size_nm,) * 2, rel=1e-6)
    assert any(note.startswith("resolution tag only") for note in image.audit)


@pytest.mark.parametrize(("dots", "unit"), [
    (72, "INCH"), (96, "INCH"), (300, "INCH"), (1200, "INCH"), (28.35, "CENTIMETER"),
    (118, "CENTIMETER"), (1, "INCH"), (1e7, "NONE"), (0, "INCH"),
])
def test_a_printers_resolution_is_no_calibration(tmp_path, dots, unit):
    path = write(tmp_path / "a.tif", resolution=(dots, dots), resolutionunit=unit, metadata=None)
    image = io.read_one(path)
    assert image.axis("x").unit == "px"
    assert any("px" in note for note in image.audit)


def test_pages_of_different_shapes_are_different_images(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PICTURE, metadata=None)
        writer.write(PICTURE[:20], metadata=None)
    images = io.read(path)
    assert [image.shape for image in images] == [(48, 64), (20, 64)]
    assert len({image.source.signal for image in images}) == 2
    for image, expected in zip(images, (PICTURE, PICTURE[:20]), strict=True):
        np.testing.assert_array_equal(image.load(), expected)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_pages_of_one_shape_are_a_stack(tmp_path, compression):
    path = tmp_path / "a.tif"
    stack = np.stack([PICTURE, PICTURE[::-1]])
    with tifffile.TiffWriter(path) as writer:
        for page in stack:
            writer.write(page, metadata=None, compression=compression)
    image = io.read_one(path)
    assert image.shape == (2, 48, 64)
    np.testing.assert_array_equal(image.load(), stack)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f2", "f4", "f8", "c8"])
def test_pixels_arrive_in_the_machines_byte_order(tmp_path, byteorder, dtype):
    data = (PICTURE % 120).astype(dtype)
    image = io.read_one(write(tmp_path / "a.tif", data, byteorder=byteorder))
    assert image.data.dtype == np.dtype(dtype)
    assert image.load().dtype.isnative
    np.testing.assert_array_equal(image.load(), data)


def test_grey_picture_in_rgb_is_its_grey_channel(tmp_path):
    grey = (PICTURE % 256).astype(np.uint8)
    image = io.read_one(write(tmp_path / "a.tif", np.dstack([grey] * 3), photometric="rgb"))
    np.testing.assert_array_equal(image.load(), grey)
    assert not any("colour" in note for note in image.audit)


def test_colour_picture_is_its_luminance_and_says_so(tmp_path):
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = 200, 101
    image = io.read_one(write(tmp_path / "a.tif", rgb, photometric="rgb"))
    assert (image.load() == round(0.299 * 200 + 0.587 * 101)).all()
    assert any("colour" in note for note in image.audit)


def test_palettes(tmp_path):
    index = (PICTURE % 256).astype(np.uint8)
    ramp = np.stack([np.arange(256) * 257] * 3).astype(np.uint16)
    image = io.read_one(write(tmp_path / "a.tif", index, photometric="palette", colormap=ramp))
    np.testing.assert_array_equal(image.load(), index)
    image = io.read_one(write(tmp_path / "b.tif", index, photometric="palette",
                              colormap=ramp[:, ::-1]))
    np.testing.assert_array_equal(image.load(), 255 - index)


def test_truncated_picture_is_refused_when_it_is_opened(tmp_path):
    path = write(tmp_path / "a.tif", compression=None)
    whole = path.read_bytes()
    ifd_first = struct.unpack("<I", whole[4:8])[0] < len(whole) // 2
    assert ifd_first
    path.write_bytes(whole[:-200])
    with pytest.raises(ReadError):
        io.read(path)
