"""What the results of each image are worth: written by hand, after looking at the pictures.

Of the measurement at commit 0ed2a14.
"""

_YOLO = "nanoparticle-yolo/images/"
_EMPS = "emps/images/"
_ATOMS = "nothing: atoms stand out by a few σ of a pixel, and dots fainter than their own fit's "\
         "uncertainty are left out.  No chain is made up either."

BELIEFS: dict[str, str] = {
    "particlespy/JEOL HAADF Image.dm4":
        "nothing.  Fifteen of the 20 particles are found as maxima, 100 σ above the film, and 12 "
        "of them are lost in the fit: bodies of very different brightness are no spheres of one "
        "blur, the misfit is taken for noise that grows with the signal, and against that noise "
        "none is significant.  The three that stay are drawn too wide.",
    "particlespy/SiO2 HAADF Image.hspy":
        "nothing, though the spheres are plain to see.  Maxima are found on 105 of them; the fit "
        "loses all.  With widths up to 150 nm, which only changes the ground, 11 chains and 27 "
        "dots come out, so that the result hangs on a parameter that should not matter.",
    "rosettasciio/tia/old/03_Scanning Preview.emi":
        "the round islands and their sizes.  Islands grown together are given as two dots that "
        "overlap, or as one that is too wide; two clear islands (lower left, right) are missing.  "
        "The chain joins islands that happen to lie in a row.",
    "superlattice/hexagonal_example.Tif":
        "nothing: more than half of the picture is dots, and what lies below the middle of the "
        "values, which is taken for the noise of the ground, is dots too.  The threshold comes out "
        "at 0.70 where the dots stand 0.8 high.",
    _YOLO + "PtCo.jpg":
        "that what is marked is a particle, not its size: particles that touch are taken as one "
        "(diameters 1.24 of the boxes), most small ones are missing.  A black, clipped corner of "
        "the picture is taken for a banner, and the 104 rows beside it are not measured at all.",
    _YOLO + "Ru3.jpg":
        "nothing: the support is as bright as the particles, stands out of the vacuum and becomes "
        "one body that is too wide, with all particles on it.  Without widths (in pixels) the "
        "contrast is taken for dark as well.",
    _YOLO + "Ru3.jpg (bright)": "as above: the contrast is not what fails here.",
    _YOLO + "Pd_silica1.jpg":
        "nothing: the silica spheres are the body that stands out, too wide, and the particles go "
        "with it.  Ground is extrapolated below the spheres, so that empty corners stand out too.",
    _YOLO + "Cu_silica1.jpg":
        "nothing, and no method here does better: particles of little contrast on aggregates.",
    _YOLO + "PtCo3.jpg":
        "nothing: 41 maxima, and none is left after the fit.  Almost two thirds of the particles "
        "have no maximum to begin with, as the rough support decides how much one must rise.",
    _YOLO + "Pt_carbon1.jpg":
        "that the 13 which are marked are particles.  The grain that carries them all is one body "
        "that is too wide, and particles inside its outline are not looked for.",
    _EMPS + "30da4fa249.png":
        "the two it shows, to 1 %.  The chain of five is missing: with a smallest width of 100 or "
        "130 nm instead of 120 all seven are found, with 140 none, as the fit's significance lies "
        "just at its limit for bodies 65 σ high.  When found, the chain of five is cut in two "
        "where it turns by more than 65°.",
    _EMPS + "76dde347fc.png":
        "all of it: five dots, areas to 1 %, the gap of 15 nm parts the chain as asked; a triangle "
        "is drawn as a circle.",
    _EMPS + "97e645b56e.png":
        "all dots and their sizes (2 % inside the hand-drawn outlines).  One more dot is the text "
        "`50nm` with its bar, which is not found as burnt-in: it is grey.",
    _EMPS + "f98c5fb82a.png":
        "nothing: bodies cover half of the picture and are taken for the ground's noise, as in the "
        "monolayer above (threshold 0.654, highest body 0.652).",
    _EMPS + "de1d3f1409.png":
        "nothing: three of four particles pass the first fit and none the second, because the "
        "uneven dark ground counts as noise, and raises the variance of every height 300 times.",
    _EMPS + "257e44104b.png":
        "the positions of what is found, not the sizes of what is drawn as a circle: rods are "
        "dots here unless they are four widths long.  Length and width in the table are right to "
        "5 %, their direction is not in it.  A third is missing, the letter B is a dot, and three "
        "rods that happen to face each other are a chain.",
    _EMPS + "3f97a9e821.png":
        "nothing: rods cover most of the picture, so that it is taken for bright bodies on dark.",
    _EMPS + "3f97a9e821.png (dark)":
        "nothing: as in the monolayer, bodies are taken for the ground's noise (threshold 0.84).",
    _EMPS + "34f4fb273d.png":
        "nothing: the wires' own contrast has maxima, so that each is cut into dots, and the dots "
        "into chains.  Traced as lines, all four come out whole through their crossings, with "
        "widths to 10 %: they are only never traced.  The 1 of the text is a dot.",
    _EMPS + "8fde53b05f.png":
        "nothing: fibres are cut into dots for the same reason, and most dots are lost in the fit.",
    "sem-nanowires/4.tif":
        "the wires that lie alone: lengths to 1 %, widths of 4 to 5 pixels.  Wires that touch or "
        "cross are cut into dots; the edges of the film are four chains of dots, and a corner "
        "marker is a wire.  The catalogue states 24.8 nm; the ruler of this picture (5000 x) says "
        "19.84.",
    "sem-nanowires/13.tif":
        "the wires that lie alone: 11 of 22, lengths to 3 %.  Three more that lie alone and a "
        "group that crosses were sorted as rows of dots, for a few maxima along them, and then "
        "lost in the fit; wires that touch a flake or a bundle are left out as too wide.  Of the "
        "11 others most are edges of the dark film and dirt, one is a marker (19).  The banner is "
        "masked.",
    "soot-masks/20180529_A9_003.TIF":
        "nothing: an aggregate has no maxima to tell its spheres by and is wider than one, so that "
        "it is left out.  The one dot is the small aggregate.",
    "soot-masks/Case4_D8_007.TIF": "nothing, as above.",
    "haadf-atoms-ptnc/021_HAADF_15nm_Sample_PtNC_21Oct20.tif": _ATOMS,
    "haadf-atoms-ptnc/051_HAADF_15nm_Sample_PtNC_21Oct20.tif": _ATOMS,
    "haadf-atoms-re-pt/Ptporph1.tif": _ATOMS,
    "haadf-atoms-re-pt/Ptporph12.tif": _ATOMS,
    "haadf-atoms-re-pt/bpy_crop9.png": _ATOMS,
}
