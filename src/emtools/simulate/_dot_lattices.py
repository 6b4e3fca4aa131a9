"""Lattices inside the dots of chains: each dot its own crystal, attached along the chain or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from emtools.crystal import Phase, hkl_text
from emtools.errors import ParameterError
from emtools.model.calibration import line_angle_deg
from emtools.simulate._detector import probe_transfer
from emtools.simulate._lattice import Visible, Waves, projected_cell, reflection_rows, turn
from emtools.simulate._optics import Optics
from emtools.simulate._truth import ANGLES, GRAINS, REFLECTIONS

if TYPE_CHECKING:
    from emtools.simulate._bodies import Body
    from emtools.simulate._chain_truth import Truth
    from emtools.simulate._walk import Strand

Orientation = Literal["attached", "chain", "random"]

# Thermal and intrinsic size of an atom column, FWHM; keeps unblurred lattices finite.
COLUMN_NM = 0.05
# Part of the projection that columns show; the rest is the probe's tails and diffuse scattering.
COLUMN_CONTRAST = 0.6


@dataclass
class DotLattices:
    """The lattices drawn in the dots, attached along the chain or not."""

    phase: Phase
    zone_axis: tuple[int, int, int]
    pixel_size_nm: float
    spread_deg: float
    orientation: Orientation = "attached"

    def __post_init__(self) -> None:
        if self.orientation not in get_args(Orientation):
            raise ParameterError("lattice_orientation", f"{self.orientation!r} is not known",
                                 f"give one of {', '.join(get_args(Orientation))}")
        visible = Visible("HAADF", 0.5 / self.pixel_size_nm, COLUMN_NM, Optics(), COLUMN_CONTRAST)
        self.waves = visible.waves(self.phase, self.zone_axis, 0.0)
        self.turns: dict[tuple[int, int], float] = {}

    def fill(
        self, strands: list[Strand], bodies: list[list[Body]], rng: np.random.Generator
    ) -> list[list[Body]]:
        """Return the bodies with their lattices."""
        filled = []
        for number, (strand, row) in enumerate(zip(strands, bodies, strict=True)):
            tilts = self.spread_deg * rng.standard_normal(len(row))
            if self.orientation == "chain":
                tilts += rng.uniform(0.0, 360.0)
            if self.orientation == "random" or len(strand.centres) == 1:
                tilts = rng.uniform(0.0, 360.0, len(row))
            new = []
            for index, body in enumerate(row):
                degrees = float(-math.degrees(body.heading) + tilts[index])
                self.turns[number, index] = degrees
                new.append(replace(body, lattice=self._turned(degrees)))
            filled.append(new)
        return filled

    def _turned(self, degrees: float) -> Waves:
        """The waves of a crystal turned by `degrees`, each pair's upper member kept."""
        g = self.waves.g_yx_per_nm @ turn(degrees).T
        lower = (g[:, 0] > 1e-9) | ((np.abs(g[:, 0]) <= 1e-9) & (g[:, 1] < 0))
        sign = np.where(lower, -1, 1)
        amplitude = np.where(lower, self.waves.amplitude.conj(), self.waves.amplitude)
        return Waves(self.waves.hkl * sign[:, None], g * sign[:, None], amplitude)

    def tables(
        self, bodies: list[list[Body]], truth: Truth, gain: float, blur_nm: float
    ) -> dict[str, Any]:
        """Return reflections, grains and angles of the dots in the frame."""
        reflections: list[dict[str, Any]] = []
        grains, angles = [], []
        cell = projected_cell(self.waves.g_yx_per_nm)
        for (strand, index), (dot, chain) in truth.numbers.items():
            body = bodies[strand][index]
            assert body.lattice is not None
            k2 = np.sum(body.lattice.g_yx_per_nm**2, axis=1)
            seen = body.lattice.amplitude * probe_transfer(k2, blur_nm)
            waves = replace(body.lattice, amplitude=seen * body.width_nm * body.brightness)
            rows = reflection_rows(waves, self.phase, dot, len(reflections) + 1, gain)
            reflections += rows
            grains.append(self._grain(dot, body, self.turns[strand, index], cell))
            axis = float(line_angle_deg([math.sin(body.heading), math.cos(body.heading)]))
            for row in rows if chain else []:
                apart = abs(row["angle_deg"] - axis)
                angles.append({"grain": dot, "chain": chain, "hkl": row["hkl"],
                               "angle_deg": min(apart, 180.0 - apart)})
        return {"reflections": REFLECTIONS.frame(reflections), "grains": GRAINS.frame(grains),
                "angles": ANGLES.frame(angles)}

    def _grain(
        self, dot: int, body: Body, degrees: float, cell: tuple[float, float, float]
    ) -> dict[str, Any]:
        area = body.length_nm * body.width_nm * (math.pi / 4 if body.shape == "sphere" else 1.0)
        return {
            "grain": dot, "y_nm": body.y_nm, "x_nm": body.x_nm, "area_nm2": area,
            "phase": self.phase.name, "zone_axis": hkl_text(self.zone_axis),
            "rotation_deg": degrees % 360.0, "a_nm": self.phase.cell[0], "u_nm": cell[0],
            "v_nm": cell[1], "uv_angle_deg": cell[2],
        }
