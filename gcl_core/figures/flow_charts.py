"""The notebooks' flow charts, by name."""

from collections.abc import Mapping, Sequence

from IPython.display import Image

from gcl_core.figures.flow import Arrow, Box, flow_chart
from gcl_core.figures.style import picture

CHARTS: Mapping[str, tuple[Mapping[str, Box], Sequence[Arrow]]] = {
    "study": (
        {
            "pictures": Box(0, 0.4, "pictures"),
            "meshes": Box(0, 1.6, "mesh projections\n0° to 315°"),
            "store": Box(1, 1, "00: index and\ndecoded arrays", stored=True),
            "baseline": Box(2, 1, "01 baseline:\nE_id"),
            "clusters": Box(3, 0, "02 pseudo labels"),
            "warm": Box(3, 1, "03 warm-up:\nG, E_str, D"),
            "joint": Box(3, 2, "04 joint training,\none run per variant\n(03b: a step by hand)"),
            "fid": Box(4.1, 0, "05 FID per view"),
            "others": Box(4.5, 2.5, "06 to 08, 10, 12: curves,\nablations, views, errors"),
            "surface": Box(1, 2.2, "13 views over\nthe surface"),
            "three": Box(5.3, 0.6, "09 three datasets"),
            "claims": Box(5.3, 1.4, "11 claims"),
        },
        (
            *(Arrow("pictures", "store"), Arrow("meshes", "store"), Arrow("store", "baseline")),
            Arrow("store", "surface"),
            *(Arrow("baseline", "clusters"), Arrow("baseline", "warm"), Arrow("baseline", "joint")),
            *(Arrow("warm", "joint"), Arrow("joint", "fid"), Arrow("joint", "others")),
            *(Arrow("fid", "three"), Arrow("joint", "three"), Arrow("fid", "claims"), Arrow("joint", "claims")),
        ),
    ),
    "baseline": (
        {
            "x": Box(0, 1, "picture x"),
            "copy": Box(1, 1.8, "augmented copy"),
            "f": Box(2, 0.4, "f"),
            "fc": Box(2, 1.8, "f of the copy"),
            "bank": Box(2, 1.1, "memory bank: one\nrow per picture", stored=True),
            "later": Box(3.9, 0.2, "JVTC, later: rows alike in looks,\nthen in looks and time"),
            "tda": Box(3.9, 1.1, "TDA: f and f of the copy\ntowards rows of their cluster"),
            "first": Box(3.9, 2, "JVTC, first: x and its copy against\nthe other pictures of the batch"),
        },
        (
            *(Arrow("x", "f", "E_id"), Arrow("x", "copy"), Arrow("copy", "fc", "E_id")),
            *(Arrow("f", "later"), Arrow("bank", "later"), Arrow("f", "tda"), Arrow("bank", "tda")),
            *(Arrow("fc", "tda"), Arrow("f", "first"), Arrow("fc", "first")),
        ),
    ),
    "pseudo_labels": (
        {
            "rank": Box(0, 0.5, "k1 nearest\nfeatures"),
            "mutual": Box(1, 0.5, "those that are\nmutual"),
            "expand": Box(2.1, 0.5, "and their neighbours,\nif most are shared"),
            "jaccard": Box(3.2, 0.5, "Jaccard\ndistance"),
            "eps": Box(4.2, 0, "ε: mean of the\nsmallest distances"),
            "dbscan": Box(4.2, 1, "DBSCAN\nwith radius ε"),
            "labels": Box(5.2, 1, "pseudo labels,\n-1: outlier"),
        },
        (
            *(Arrow("rank", "mutual"), Arrow("mutual", "expand"), Arrow("expand", "jaccard")),
            *(Arrow("jaccard", "eps"), Arrow("jaccard", "dbscan"), Arrow("eps", "dbscan")),
            Arrow("dbscan", "labels"),
        ),
    ),
    "cycle": (
        {
            "x": Box(0, 1, "picture x"),
            "m0": Box(0, 0, "mesh at 0°"),
            "mt": Box(0, 2, "mesh at θ"),
            "a": Box(1.3, 1, "appearance a"),
            "s0": Box(1.3, 0, "structure s_0"),
            "st": Box(1.3, 2, "structure s_θ"),
            "rec": Box(2.6, 0.7, "x_rec = G(s_0, a),\nshould equal x"),
            "nv": Box(2.6, 1.7, "x_nv = G(s_θ, a)"),
            "anv": Box(3.9, 1.2, "appearance a_nv"),
            "cyc": Box(5.2, 0.7, "x_cyc = G(s_0, a_nv),\nshould equal x"),
            "real": Box(3.9, 2.2, "D: real or drawn?"),
        },
        (
            *(Arrow("x", "a", "E_id, frozen"), Arrow("m0", "s0", "E_str"), Arrow("mt", "st", "E_str")),
            *(Arrow("a", "rec"), Arrow("s0", "rec"), Arrow("a", "nv"), Arrow("st", "nv")),
            *(Arrow("nv", "anv", "E_id, frozen"), Arrow("anv", "cyc"), Arrow("s0", "cyc")),
            Arrow("nv", "real", dashed=True),
        ),
    ),
    "joint_training": (
        {
            "x": Box(0, 1, "picture x"),
            "f": Box(1.3, 0.4, "f = E_id(x)"),
            "g": Box(1.1, 1.8, "G, in the structure\nturned by θ"),
            "nv": Box(2.5, 1.8, "drawn view x_nv;\ngradients go back to G"),
            "fnv": Box(4, 1.8, "f'_new = E_id(x_nv)"),
            "pos": Box(4, 0.4, "f_pos: another row\nof x's cluster"),
            "bank": Box(2.9, -0.6, "memory bank: one\nfeature per picture", stored=True),
            "labels": Box(5.2, -0.6, "pseudo labels\n(notebook 02)"),
        },
        (
            Arrow("x", "f", "E_id"),
            *(Arrow("x", "g"), Arrow("g", "nv"), Arrow("nv", "fnv", "E_id")),
            Arrow("f", "pos", "L_vi", dashed=True),
            Arrow("fnv", "f", "L'_vi", dashed=True),
            Arrow("fnv", "pos", "L''_vi", dashed=True),
            *(Arrow("bank", "pos"), Arrow("labels", "pos"), Arrow("bank", "labels", "once per epoch")),
            Arrow("f", "bank", "after the step: new row\n= 0.2 old row + 0.8 f"),
        ),
    ),
    "fid": (
        {
            "real": Box(0, 0, "all real\ntraining pictures"),
            "drawn": Box(0, 1, "drawn views\nat one angle"),
            "inception": Box(1.7, 0.5, "Inception: 2048\nfeatures per picture"),
            "gauss": Box(3.1, 0, "two Gaussians: mean\nand covariance"),
            "fid": Box(4.5, 0, "FID: distance of\nthe two Gaussians"),
            "kid": Box(4.5, 1, "KID: distance\nwithout a Gaussian"),
        },
        (
            Arrow("real", "inception"),
            Arrow("drawn", "inception", "as PNG, or as\nJPEG (release)"),
            *(Arrow("inception", "gauss"), Arrow("gauss", "fid"), Arrow("inception", "kid")),
        ),
    ),
    "splits": (
        {
            "a": Box(0.5, 0, "person A"),
            "b": Box(2, 0, "person B"),
            "c": Box(3, 0, "person C"),
            "one": Box(0, 1, "cluster 1"),
            "two": Box(1, 1, "cluster 2"),
            "three": Box(2.5, 1, "cluster 3"),
        },
        (*(Arrow("a", "one"), Arrow("a", "two")), *(Arrow("b", "three"), Arrow("c", "three"))),
    ),
    "two_settings": (
        {
            "imagenet": Box(0, 0, "fully unsupervised:\nImageNet"),
            "source": Box(0, 1, "domain adaptation:\na source set with labels"),
            "stage": Box(1.7, 0.5, "stage 1 on the target,\nno labels"),
            "gcl": Box(3.2, 0.5, "GCL on the target,\nno labels"),
        },
        (Arrow("imagenet", "stage"), Arrow("source", "stage"), Arrow("stage", "gcl")),
    ),
    "surface": (
        {
            "picture": Box(0, 0.5, "picture"),
            "body": Box(0, 1.5, "body and camera"),
            "seen": Box(1.3, 1.5, "what is seen:\na depth buffer"),
            "own": Box(2.5, 1, "colours where the\nsurface is seen"),
            "mirror": Box(3.7, 1, "mirror image:\nleft gives right"),
            "fill": Box(4.9, 1, "surroundings\nfill the rest"),
            "behind": Box(2.5, 0, "background behind\nthe person"),
            "view": Box(6, 0.5, "turned and\nrendered"),
        },
        (
            *(Arrow("picture", "own"), Arrow("body", "seen"), Arrow("seen", "own")),
            *(Arrow("own", "mirror"), Arrow("mirror", "fill"), Arrow("fill", "view")),
            *(Arrow("picture", "behind"), Arrow("behind", "view")),
        ),
    ),
}


def chart(name: str) -> Image:
    """Return a flow chart for a notebook to display; `name` is one of CHARTS, a KeyError otherwise."""
    return picture(flow_chart(*CHARTS[name]))
