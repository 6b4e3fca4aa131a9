"""The images, what is known of them, how they are measured, and what the results are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chains_report.beliefs import BELIEFS

if TYPE_CHECKING:
    from chains_report.truth import Kind

_YOLO = "nanoparticle-yolo/images/"
_EMPS = "emps/images/"
_PTNC = "_HAADF_15nm_Sample_PtNC_21Oct20.tif"


@dataclass(frozen=True)
class Known:
    """An image, what is known of it, and with which parameters it is measured.

    Parameters
    ----------
    file
        In the folder of real images.
    what
        What it shows.
    kind
        How it is scored.
    widths, gap
        Smallest and largest width sought, and the largest gap, in nm.
    pixel_nm
        Pixel size that the file does not state but its source does; 1.0 where nobody does, so that
        lengths are in pixels though called nm.
    contrast
        Stated only where the image cannot say.
    count
        How many there are, where only that is known.
    """

    file: str
    what: str
    kind: Kind
    widths: tuple[float, float]
    gap: float
    pixel_nm: float | None = None
    contrast: Literal["auto", "bright", "dark"] = "auto"
    count: int | None = None

    @property
    def belief(self) -> str:
        """What to think of the result."""
        return BELIEFS.get(self.name, "")

    @property
    def name(self) -> str:
        """The file, with the contrast where it is stated."""
        return self.file if self.contrast == "auto" else f"{self.file} ({self.contrast})"


KNOWN = (
    Known("particlespy/JEOL HAADF Image.dm4",
          "HAADF, round particles of 8 to 15 nm in short chains, clean film", "count",
          (5.0, 18.0), 3.0, count=20),
    Known("particlespy/SiO2 HAADF Image.hspy",
          "HAADF, touching spheres of 50 to 70 nm in a film; the number is a watershed's", "count",
          (40.0, 80.0), 15.0, count=137),
    Known("rosettasciio/tia/old/03_Scanning Preview.emi",
          "HAADF, metal islands, some grown together, first of five frames; the number is Otsu's",
          "count", (4.0, 12.0), 2.0, count=16),
    Known("superlattice/hexagonal_example.Tif",
          "bright field, a monolayer of dots with holes; about 4500 by the pitch of 12.9 nm",
          "count", (5.0, 15.0), 3.0, count=4500),
    Known(_YOLO + "PtCo.jpg", "HAADF, bright particles on carbon", "boxes", (20.0, 70.0), 10.0,
          1.0),
    Known(_YOLO + "Ru3.jpg", "HAADF, tiny particles on a rough bright support", "boxes",
          (7.0, 20.0), 4.0, 1.0),
    Known(_YOLO + "Ru3.jpg", "the same, contrast stated", "boxes", (7.0, 20.0), 4.0, 1.0, "bright"),
    Known(_YOLO + "Pd_silica1.jpg", "HAADF, particles on spheres as bright as they are", "boxes",
          (20.0, 80.0), 10.0, 1.0),
    Known(_YOLO + "Cu_silica1.jpg", "HAADF, few particles on aggregates", "boxes", (12.0, 40.0),
          6.0, 1.0),
    Known(_YOLO + "PtCo3.jpg", "bright field, dark particles on a bent support", "boxes",
          (15.0, 60.0), 10.0, 1.0),
    Known(_YOLO + "Pt_carbon1.jpg", "bright field, dark particles crowded on one grain", "boxes",
          (20.0, 60.0), 10.0, 1.0),
    Known(_EMPS + "30da4fa249.png", "a chain of five particles and a pair", "bodies",
          (120.0, 250.0), 30.0, 2.0),
    Known(_EMPS + "76dde347fc.png", "a chain of five particles of different shapes", "bodies",
          (20.0, 50.0), 10.0, 0.57),
    Known(_EMPS + "97e645b56e.png", "well separated dots", "bodies", (7.0, 13.0), 3.0, 0.345),
    Known(_EMPS + "f98c5fb82a.png", "crystalline dots close together", "bodies", (10.0, 20.0), 3.0,
          0.227),
    Known(_EMPS + "de1d3f1409.png", "bright particles on dark, large letters", "bodies",
          (20.0, 40.0), 5.0, 0.254),
    Known(_EMPS + "257e44104b.png", "rods with bright cores", "rods", (15.0, 35.0), 3.0, 0.568),
    Known(_EMPS + "3f97a9e821.png", "touching rods", "rods", (10.0, 25.0), 2.0, 0.472),
    Known(_EMPS + "3f97a9e821.png", "the same, contrast stated", "rods", (10.0, 25.0), 2.0, 0.472,
          "dark"),
    Known(_EMPS + "34f4fb273d.png", "four wires that cross (the fifth is not labelled)", "wires",
          (80.0, 250.0), 50.0, 8.06),
    Known(_EMPS + "8fde53b05f.png", "curved fibres, cut by the frame", "wires", (20.0, 50.0), 10.0,
          1.0),
    Known("sem-nanowires/4.tif", "nanowires on a chip with markers; ends marked for this report",
          "wires", (60.0, 200.0), 50.0, 19.84),
    Known("sem-nanowires/13.tif", "nanowires on a chip with markers; ends marked for this report",
          "wires", (60.0, 200.0), 50.0, 24.8),
    Known("soot-masks/20180529_A9_003.TIF", "mask of aggregates of touching spheres", "mask",
          (25.0, 80.0), 10.0, 1.0),
    Known("soot-masks/Case4_D8_007.TIF", "mask of aggregates of touching spheres", "mask",
          (25.0, 80.0), 10.0, 1.0),
    Known(f"haadf-atoms-ptnc/021{_PTNC}", "single atoms: not what it is for", "points",
          (0.15, 0.5), 0.1),
    Known(f"haadf-atoms-ptnc/051{_PTNC}", "single atoms: not what it is for", "points",
          (0.15, 0.5), 0.1),
    Known("haadf-atoms-re-pt/Ptporph1.tif", "single atoms: not what it is for", "points",
          (6.0, 20.0), 4.0, 1.0),
    Known("haadf-atoms-re-pt/Ptporph12.tif", "single atoms: not what it is for", "points",
          (6.0, 20.0), 4.0, 1.0),
    Known("haadf-atoms-re-pt/bpy_crop9.png", "single atoms: not what it is for", "points",
          (6.0, 20.0), 4.0, 1.0),
)
# Images without chains, measured with the parameters that nobody has changed.
NEGATIVES = (
    ("openncem/16_STOimage_1.ser", "lattice of SrTiO3"),
    ("openncem/Acquisition_18.emd", "square lattice"),
    ("atomap/test_ADF_cropped.hdf5", "lattice of SrTiO3"),
    ("atomap/simulated_nanoparticle.hspy", "simulated crystal, no scale"),
    ("atomap/example_detector_image.hspy", "a detector's response"),
    ("atomsegnet/Si110_5nmX25us_03_none_none.png", "dumbbells of Si, no scale"),
    ("atomsegnet/03_afterimage_8nm_crp.png", "lattice with scan lines, no scale"),
    ("rosettasciio/tiff/olympus_SIS.tif", "lattice fringes"),
    ("hrtem-soot/ExampleImage.tif", "bent fringes of soot, a burnt-in bar, no scale"),
    ("rosettasciio/digitalmicrograph/2D/multi_signal.dm3", "texture"),
    ("rosettasciio/digitalmicrograph/2D/test_STEM_image.dm3", "noise"),
    ("rosettasciio/emd/FFTComplexEven.emd", "cross-grating, 27 nm pixels"),
    ("openncem/STEM HAADF Diffraction Micro.emd", "mains hum, 87 nm pixels"),
    ("openncem/STEM HAADF-DF4-DF2-BF Diffraction Micro.emd", "no specimen, 87 nm pixels"),
    ("openncem/Camera Ceta Diffraction Micro.emd", "detector noise in 1/nm"),
    ("openncem/temp.mrc", "random numbers"),
    ("rosettasciio/tiff/TVIPS_bin4.tif", "blank, four read-out quadrants"),
    ("rosettasciio/tiff/JEOL-SightX-TEM-mag-dummy.tif", "blank"),
    ("rosettasciio/tiff/test_loading_image_saved_with_imageJ_no_scale.tif", "noise, no scale"),
    ("rosettasciio/tiff/FEI-Helios-Ebeam-16bits.tif", "SEM, 3.4 µm pixels"),
    ("rosettasciio/tiff/FEI-Helios-navcam-with-no-IRBeam-bad-floats.tif", "camera, no scale"),
    ("rosettasciio/tiff/test_tiff_Zeiss_SEM_512pix.tif", "SEM"),
    ("rosettasciio/jeol/Sample/00_View000/View000_0000000.img", "survey image"),
    ("openncem/L2083/0.bcf", "HAADF of a dust particle, 13 nm pixels"),
)
