"""What the results of each image are worth: written by hand, after looking at the pictures.

Of the measurement at commit 5d372ff.
"""

_YOLO = "nanoparticle-yolo/images/"
_EMPS = "emps/images/"
_RE_PT = "haadf-atoms-re-pt/"
_PTNC = "_HAADF_15nm_Sample_PtNC_21Oct20.tif"

BELIEFS: dict[str, str] = {
    "particlespy/JEOL HAADF Image.dm4":
        "the outlines of single bright particles, and chain 3.  Particles grown together are one "
        "outline that is too wide (the middle of the picture), dim ones beside bright ones are "
        "missing (upper left), and the middle dot of chain 2 lies half on empty film.  A link of "
        "chain 2 is therefore not to be trusted.",
    "particlespy/SiO2 HAADF Image.hspy":
        "nothing.  The six dots lie on the few clumps much brighter than the rest, each across "
        "several spheres, with a median of 104 nm where spheres are 50 to 70 nm wide; ten bodies "
        "are left out as too wide, and no sphere of ordinary brightness is marked, not even those "
        "that lie alone.",
    "rosettasciio/tia/old/03_Scanning Preview.emi":
        "the round islands that lie alone.  Islands grown together are two circles wider than the "
        "island, or one around both; those cut by the left and right edges are missing.  The "
        "chains join islands that happen to lie near each other.",
    "superlattice/hexagonal_example.Tif":
        "nothing but the 23 darkest dots, which are 0.5 % of what is there.  The rest is not "
        "marked, and one body is left out as too wide; a threshold with or without a watershed "
        "counts the monolayer to within 7 %.",
    _YOLO + "PtCo.jpg":
        "that what is marked is a particle (37 of 40), and the sizes of those that lie alone.  "
        "Particles that touch are often one circle around both, the crowd at the left edge is left "
        "out as too wide, and the dots of the one chain do not follow the particles below them.  "
        "A watershed finds more (51 against 37 of 67), and nothing wrong.",
    _YOLO + "Ru3.jpg":
        "nothing.  No particle is found; four stretches of the support are given as wires, and 19 "
        "pieces are left out as too wide.  The contrast is rightly taken for bright.",
    _YOLO + "Ru3.jpg (bright)": "as above: stating the contrast changes nothing.",
    _YOLO + "Pd_silica1.jpg":
        "the isolated dots in the lower middle.  A third of the marks are no labelled particle: "
        "most of the six chains lie along edges of the silica.  The brightest group (upper left) "
        "has no mark, and 68 % of the labelled particles are missing.",
    _YOLO + "Cu_silica1.jpg":
        "the positions: 20 of 30 are found, with five others and no chains, where threshold and "
        "watershed find three at most.  Diameters are 0.72 of the boxes, and most of the five "
        "others are faint dots near edges of the silica.",
    _YOLO + "PtCo3.jpg":
        "dots that lie alone at the upper edges of the support.  A third of the marks are no "
        "labelled particle, most of the dark, clear particles left of the middle have none, and "
        "the 11 chains join neighbours in a crowd: one follows bare support (10), one runs over "
        "three particles as a wire (11).  A watershed does better (F1 0.78 against 0.53).",
    _YOLO + "Pt_carbon1.jpg":
        "that a mark is a particle: 152 of 154 are, where a watershed has 128 wrong.  A third of "
        "the particles are missing, most where they touch or where the grain is darkest, and "
        "diameters are 0.82 of the boxes.  The eight chains are neighbours in a crowd.",
    _EMPS + "30da4fa249.png":
        "all seven particles, their diameters (1.02 of the labelled ones), and the chain of five "
        "through its sharp turn.  One more dot is the text `100 nm` with its bar.",
    _EMPS + "76dde347fc.png":
        "all of it: five dots, with diameters 0.98 of the labelled ones; the gap of 15 nm parts "
        "the chain, as gaps up to 10 nm were asked for.  A triangle is drawn as a circle.",
    _EMPS + "97e645b56e.png":
        "all 36 dots and their sizes (1.01 of the labelled ones).  Two more dots are the letter "
        "`b` and the text `50nm` with its bar.",
    _EMPS + "f98c5fb82a.png":
        "the dots: 37 of 45 and nothing else, with diameters 0.93 of the labelled ones.  Eight "
        "are missing (three whole ones at the lower right, others at the frame) and one outline "
        "covers half a dot.  Not the chains: most join dots that merely lie close, and chain 4 "
        "leaps past a dot beside it, about 17 nm from edge to edge where gaps up to 3 nm were "
        "asked for, and has no row for this in its table of gaps.",
    _EMPS + "de1d3f1409.png":
        "all four particles, no letters, and three of the sizes.  The pear-shaped particle is "
        "drawn much too wide, into the text below it.",
    _EMPS + "257e44104b.png":
        "the five rods traced as lines, and the positions of the others: 19 of 20 are found.  "
        "Whether a rod is a line, one circle or two circles follows its contrast, not its shape: "
        "three rods are two dots each, three others that face each other are a chain, and the "
        "letter B is a dot.",
    _EMPS + "3f97a9e821.png":
        "nothing: nothing is found.  The rods are darker than the ground, and the contrast is "
        "taken for bright.",
    _EMPS + "3f97a9e821.png (dark)":
        "nothing.  A third of the rods have a mark, but as circles, often two to a rod (lengths "
        "0.61 of the labelled ones), and the three chains run across rods that lie side by side.  "
        "Most of the upper half is not marked at all; one dot is the text with its bar.",
    _EMPS + "34f4fb273d.png":
        "all four labelled wires, whole through their crossings: lengths 0.98, widths 0.91 of the "
        "labelled ones.  Where wire 3 lies on a thicker one, which is not labelled, it is given "
        "that one's width, and the thicker one is not traced.  One dot is the letter m.",
    _EMPS + "8fde53b05f.png":
        "the four fibres it traces: lengths 0.99, widths 1.00 of the labelled ones, much as Otsu's "
        "skeletons.  The fifth, short and cut by the frame, is a dot, and fibre 2 ends before it "
        "meets that.",
    "sem-nanowires/4.tif":
        "the wires: 9 of 10, lengths 1.02 of the marked ones, those that nearly touch included.  "
        "Of the twenty other chains most are edges of the dark strip, cut into dots and lines; "
        "one is a corner marker (19), one a short piece just above the banner (30).  The "
        "catalogue states 24.8 nm; the ruler of this picture (5000 x) says 19.84.",
    "sem-nanowires/13.tif":
        "the wires that lie alone; 16 of 22 are found, lengths 1.03 of the marked ones.  The "
        "group that crosses at the top is sorted as rows of dots (1, 2 and the dots beside them), "
        "bundles are one wire (4, 34), and some of the 13 others are edges of the dark film (37, "
        "44).  Most of the 103 isolated dots are the chip's regular grid of marks.",
    "soot-masks/20180529_A9_003.TIF":
        "nothing, or that the two thin stretches are there.  The large aggregates are left out as "
        "too wide, a small one is a dot, no sphere is told from the next, and 16 % of the soot is "
        "covered (a watershed: 61 %).",
    "soot-masks/Case4_D8_007.TIF":
        "the arms that are about one sphere wide, as lines without spheres.  The rest is left out "
        "as too wide, so that 22 % of the soot is covered (a watershed: 78 %).",
    f"haadf-atoms-ptnc/021{_PTNC}":
        "nothing: 8 of 33 atoms are marked, with as many marks that are not.  The chain of three "
        "is made up.",
    f"haadf-atoms-ptnc/051{_PTNC}":
        "nothing: 5 of 72 atoms are marked.  The one chain is a bright corner of the support.",
    _RE_PT + "Ptporph1.tif":
        "nothing: 1 of 19 atoms is marked.  The one chain is 1.5 pixels wide, though nothing "
        "below 6 was sought, and lies on nothing to be seen.",
    _RE_PT + "Ptporph12.tif": "nothing: none of the 56 atoms is marked.",
    _RE_PT + "bpy_crop9.png":
        "nothing: 1 of 104 atoms is hit, and that by a line.  The three chains run over and beside "
        "a few atoms; bright clusters have no mark.",
}

WITHOUT = ("Two images without chains get many: the rows of a lattice with scan lines are dots in "
           "chains, and bent fringes of soot are dots and wires.  Both state no scale, so that the "
           "widths sought are in pixels.")
