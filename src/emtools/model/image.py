"""Image: pixels with axes, calibration and what the microscope said."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from emtools.errors import CalibrationError, ImageError
from emtools.model.calibration import Axis, Calibration, CalibrationSource, Distortion
from emtools.units import PIXEL, parse_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_SAME_FIELD = 0.01  # relative difference of the sides of two images of one scan


@dataclass(frozen=True)
class Acquisition:
    """What the microscope said about how the image was taken; None where it said nothing.

    Parameters
    ----------
    modality
        ``HAADF``, ``ADF``, ``BF``, ``DF``, ``STEM``, ``TEM``, ``SAED``, ``EDS``, ``EELS``, ``SEM``,
        ``FFT``, ``4D-STEM`` or None.
    beam_energy_keV, camera_length_mm, dwell_time_s, tilt_deg, magnification
        As named; the tilt is the first (alpha) tilt of the stage.
    detector, instrument
        Names as the file spells them (with the number of the instrument where it states one).
    date
        ISO 8601.
    fast_axis
        The axis along which a scan runs: ``"x"`` unless the image was transposed.
    scan_rotation_deg
        Turn of the scan that the operator set, as the file states it.
    """

    modality: str | None = None
    beam_energy_keV: float | None = None
    camera_length_mm: float | None = None
    detector: str | None = None
    dwell_time_s: float | None = None
    date: str | None = None
    instrument: str | None = None
    tilt_deg: float | None = None
    magnification: float | None = None
    fast_axis: str = "x"
    scan_rotation_deg: float | None = None


@dataclass(frozen=True)
class Source:
    """Where an image comes from.

    Parameters
    ----------
    file
        Path as given, or None for an image made in memory.
    signal
        Name of the signal in the file, unique in it.
    index
        Position of the signal in the file.
    reader
        Name of the reader that opened it.
    fingerprint
        Function that returns the SHA-256 of the file's bytes, called when a result is made.
    """

    file: str | None = None
    signal: str = ""
    index: int = 0
    reader: str = ""
    fingerprint: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    def describe(self) -> dict[str, Any]:
        """Return file, SHA-256, signal and reader as plain values."""
        digest = self.fingerprint() if self.fingerprint is not None else None
        return {"file": self.file, "sha256": digest, "signal": self.signal, "index": self.index,
                "reader": self.reader}


@dataclass(frozen=True)
class Step:
    """What was done to the pixels of an image.

    Parameters
    ----------
    name
        Of the function of `emtools.process`.
    parameters
        The complete effective ones, as plain values.
    quantity
        What the pixels are since, for a colour bar.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    quantity: str = ""

    def __str__(self) -> str:
        said = ", ".join(f"{key} = {_short(value)}" for key, value in self.parameters.items())
        return f"{self.name}({said})"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, eq=False)
class Image:
    """A micrograph, diffraction pattern, transform, stack or spectrum image: its axes say which.

    Parameters
    ----------
    data
        NumPy or dask array, one dimension per axis.  Seen read-only.
    axes
        One `Axis` per dimension, in the order of the dimensions (``..., y, x`` or ``y, x,
        energy``).
    mask
        Boolean, shape of the ``(y, x)`` plane: True = use, None = use all.
    acquisition
        What the microscope said.
    source
        Where the image comes from.
    raw_metadata
        The file's own metadata, whole.
    distortion
        Departure of the image plane from a square grid.
    audit
        Plain sentences: what the reader met or doubted in the calibration.
    steps
        What was done to the pixels since they were read, in order.

    Raises
    ------
    ImageError
        If axes, data and mask do not fit each other.
    """

    data: Any
    axes: tuple[Axis, ...]
    mask: NDArray[np.bool_] | None = None
    acquisition: Acquisition = field(default_factory=Acquisition)
    source: Source = field(default_factory=Source)
    raw_metadata: Mapping[str, Any] = field(default_factory=dict)
    distortion: Distortion = field(default_factory=Distortion)
    audit: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        sizes = tuple(axis.size for axis in self.axes)
        if tuple(self.data.shape) != sizes:
            raise ImageError(
                self.name, f"data of shape {tuple(self.data.shape)} with axes of sizes {sizes}",
                "give one axis per dimension",
            )
        if isinstance(self.data, np.ndarray):
            view = self.data.view()
            view.flags.writeable = False
            object.__setattr__(self, "data", view)
        object.__setattr__(self, "axes", tuple(self.axes))
        if self.mask is not None:
            object.__setattr__(self, "mask", self._checked_mask(self.mask))

    def _checked_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        checked = np.asarray(mask, dtype=bool).view()
        plane = tuple(axis.size for axis in self.plane_axes)
        if checked.shape != plane:
            raise ImageError(self.name, f"mask of shape {checked.shape} on a plane of {plane}",
                             "give a boolean per pixel, True = use")
        checked.flags.writeable = False
        return checked

    def __repr__(self) -> str:
        sides = " x ".join(f"{axis.name} {axis.size}" for axis in self.axes)
        units = dict.fromkeys(
            f"{axis.pixel_size:.4g} {axis.unit} ({axis.source})" if axis.calibrated else "px"
            for axis in self.axes if axis.name in ("y", "x"))
        state = ", not read yet" if self.lazy else ""
        return f"<Image {self.name}: {sides}, {self.data.dtype}, {', '.join(units)}{state}>"

    @property
    def name(self) -> str:
        """File and signal, for messages."""
        file = self.source.file or "image"
        return f"{file} [{self.source.signal}]" if self.source.signal else file

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pixels along each axis."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def lazy(self) -> bool:
        """Whether the pixels have not been read yet."""
        return not isinstance(self.data, np.ndarray)

    @property
    def quantity(self) -> str:
        """What the pixels are, for a colour bar."""
        said = [step.quantity for step in self.steps if step.quantity]
        if said:
            return said[-1]
        modality = self.acquisition.modality
        if self.has_axis("energy"):
            return "X-ray counts" if modality == "EDS" else "counts"
        name = f"{modality} intensity" if modality else "intensity"
        return f"{name} (counts)" if self.data.dtype.kind in "uiV" else f"{name} (arb. units)"

    def axis(self, name: str) -> Axis:
        """Return the axis of that name.

        Raises
        ------
        ImageError
            If the image has none.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        have = ", ".join(axis.name for axis in self.axes)
        raise ImageError(self.name, f"has no axis {name!r}", f"its axes are {have}")

    def has_axis(self, name: str) -> bool:
        """Whether the image has an axis of that name."""
        return any(axis.name == name for axis in self.axes)

    @property
    def plane_axes(self) -> tuple[Axis, Axis]:
        """The ``y`` and ``x`` axes."""
        return self.axis("y"), self.axis("x")

    @property
    def is_plane(self) -> bool:
        """Whether the image is a single picture: exactly the axes y and x."""
        return [axis.name for axis in self.axes] == ["y", "x"]

    def calibration(self, unit: str | None = None) -> Calibration:
        """Return the conversion from pixels of the ``(y, x)`` plane to physical vectors.

        Parameters
        ----------
        unit
            The unit that is needed (any spelling), or None to take what there is, ``px`` included.

        Raises
        ------
        CalibrationError
            If the image has no calibration in that unit.
        """
        y, x = self.plane_axes
        have = y.unit if y.unit == x.unit else PIXEL
        needed = None if unit is None else parse_unit(unit)
        if needed is not None and needed.name != have:
            raise self._no_calibration(unit or "", have)
        factor = 1.0 if needed is None else 1.0 / needed.factor
        sizes = np.array([y.pixel_size, x.pixel_size]) if have != PIXEL else np.ones(2)
        matrix = factor * np.asarray(self.distortion.matrix) @ np.diag(sizes)
        square = have == PIXEL
        return Calibration(
            matrix=matrix,
            unit=have if unit is None else unit,
            scale_err=max(y.relative_err, x.relative_err),
            anisotropy_err=0.0 if square else self.distortion.anisotropy_err,
            shear_err_deg=0.0 if square else self.distortion.shear_err_deg,
        )

    def _no_calibration(self, unit: str, have: str) -> CalibrationError:
        reciprocal = unit.startswith("1") or unit.endswith(("-1", "⁻¹"))
        option = "--pixel-size-per-nm" if reciprocal else "--pixel-size-nm"
        found = "none" if have == PIXEL else f"one in {have}"
        return CalibrationError(
            self.name, f"needs a pixel size in {unit}, has {found}",
            f"give {option}, or calibrate with a known crystal or scale bar",
        )

    def pixel_size(self, unit: str) -> tuple[float, float]:
        """Return the pixel size along y and x.

        Raises
        ------
        CalibrationError
            If the image has no calibration in `unit`.
        """
        matrix = self.calibration(unit).matrix
        height, width = np.hypot(matrix[0], matrix[1])
        return float(height), float(width)

    def calibrated(
        self, pixel_size: float | tuple[float, float], unit: str, err: float | None = None,
        source: CalibrationSource = "user",
    ) -> Self:
        """Return the image with another pixel size in its ``(y, x)`` plane.

        Parameters
        ----------
        pixel_size
            One number, or one each for y and x, in `unit`.
        unit
            A length or reciprocal length, in any spelling.
        err
            Relative 1 sigma; None for the default of an unstated one.
        source
            Where the number comes from.
        """
        canonical = parse_unit(unit)
        both = np.broadcast_to(np.asarray(pixel_size, dtype=float), 2) * canonical.factor
        sizes = dict(zip(("y", "x"), both.tolist(), strict=True))
        axes = tuple(
            replace(axis, pixel_size=sizes[axis.name], unit=canonical.name, offset=0.0,
                    pixel_size_err=None if err is None else err * sizes[axis.name], source=source)
            if axis.name in sizes else axis
            for axis in self.axes
        )
        note = f"pixel size {float(both[1]):.6g} {canonical.name} given by {source}"
        return replace(self, axes=axes, audit=(*self.audit, note))

    def select(self, **positions: int) -> Self:
        """Return the image at one index of other axes: ``stack.select(frame=3)``."""
        index: list[int | slice] = [slice(None)] * len(self.axes)
        for name, position in positions.items():
            self.axis(name)
            index[[axis.name for axis in self.axes].index(name)] = position
        axes = tuple(axis for axis in self.axes if axis.name not in positions)
        mask = self.mask if not {"y", "x"} & set(positions) else None
        return replace(self, data=self.data[tuple(index)], axes=axes, mask=mask)

    def transposed(self) -> Self:
        """Return the picture with rows and columns, and its scan direction, exchanged."""
        if not self.is_plane:
            raise ImageError(self.name, "is not a single picture", "select one frame first")
        y, x = self.axes
        fast = "y" if self.acquisition.fast_axis == "x" else "x"
        return replace(
            self, data=self.data.T, axes=(replace(x, name="y"), replace(y, name="x")),
            mask=None if self.mask is None else self.mask.T,
            acquisition=replace(self.acquisition, fast_axis=fast),
            distortion=self.distortion.transposed(),
        )

    def with_data(self, data: Any, note: str = "") -> Self:
        """Return the image with other pixels of the same shape (and a line in the audit)."""
        return replace(self, data=data, audit=(*self.audit, note) if note else self.audit)

    def _repr_html_(self) -> str:
        from emtools.cards import image_card

        return image_card(self)

    def load(self) -> NDArray[Any]:
        """Return the pixels as a NumPy array, reading them now if they are lazy."""
        return np.asarray(self.data.compute()) if self.lazy else np.asarray(self.data)

    @classmethod
    def from_hyperspy(cls, signal: Any) -> Image:
        """Make an Image of a HyperSpy signal (lazy stays lazy)."""
        from emtools.model.exchange import from_hyperspy

        return from_hyperspy(signal)

    def to_hyperspy(self) -> Any:
        """Return the HyperSpy signal of this image; `from_hyperspy` gives the image back."""
        from emtools.model.exchange import to_hyperspy

        return to_hyperspy(self)


def plane_image(
    data: NDArray[Any], pixel_size_nm: float | None = None, **fields: Any
) -> Image:
    """Make an `Image` of a 2-D array, with square pixels of `pixel_size_nm` if given."""
    array = np.asarray(data)
    if array.ndim != 2:
        raise ImageError("array", f"has {array.ndim} dimensions", "give a 2-D array")
    axes = tuple(Axis(name, size) for name, size in zip("yx", array.shape, strict=True))
    image = Image(array, axes, **fields)
    return image if pixel_size_nm is None else image.calibrated(pixel_size_nm, "nm")


def same_scan(image: Image, sister: Image) -> bool:
    """Whether two images show the same field: sides of equal length."""
    if not all(one.has_axis("y") and one.has_axis("x") for one in (image, sister)):
        return False
    return all(
        one.unit == other.unit
        and math.isclose(one.size * one.pixel_size, other.size * other.pixel_size,
                         rel_tol=_SAME_FIELD)
        for one, other in zip(image.plane_axes, sister.plane_axes, strict=True))


def used_part(mask: NDArray[np.bool_]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First row and column that hold what may be used, and those after the last; else zeros."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return (0, 0), (0, 0)
    return (int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1)
