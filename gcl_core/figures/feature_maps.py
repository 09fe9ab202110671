"""The gallery as each encoder sees it: maps of the feature space before and after joint training."""

import numpy as np
import torch
from matplotlib.figure import Figure

from gcl_core.config import Study
from gcl_core.evaluation.queries import Retrieval
from gcl_core.figures.clusters import draw_map
from gcl_core.figures.style import PAGE, new_figure, styled
from gcl_core.measure.clustered import EMBEDDED, embed
from gcl_core.measure.retrievals import Retrievals, stage_title
from gcl_core.seeding import numpy_rng


@styled()
def feature_maps_figure(study: Study, found: Retrievals) -> Figure:
    """Return one t-SNE map of the gallery's people a stage, the same people in the same colours, mAP above.

    Junk and distractors are left out: they are nobody.
    """
    figure = new_figure(PAGE, 2.4)
    for axes, (stage, retrieval) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        features, pids = _somebody(retrieval)
        places, rows, shown = embed(features, pids)
        title = f"{stage_title(study, stage)}: mAP {100 * retrieval.result.map:.1f} %"
        draw_map(axes, places, shown, pids[rows], title)
    return figure


def feature_maps_reading(study: Study, found: Retrievals) -> str:
    """Return a sentence on each stage's features: how far pictures of one person lie from each other and from others.

    Unit features, so distances are in 0 ... 2; of more than 2,000 pictures as many are drawn at random.
    """
    told = []
    for stage, retrieval in found.items():
        features, pids = _somebody(retrieval)
        some = np.sort(numpy_rng(0, "feature maps").permutation(len(pids))[:EMBEDDED])
        features, pids = features[torch.from_numpy(some)], pids[some]
        distances, same = torch.cdist(features, features).numpy(), pids[:, None] == pids
        pairs = np.triu(np.ones_like(same), k=1)
        within, across = distances[pairs & same].mean(), distances[pairs & ~same].mean()
        told.append(f"{stage_title(study, stage)} {within:.2f} and {across:.2f} (ratio {within / across:.2f})")
    return (
        "Mean distance between two gallery pictures of one person and of two people: "
        f"{'; '.join(told)}. A smaller ratio means tighter people; maps by t-SNE show who is near, not how far."
    )


def _somebody(retrieval: Retrieval) -> tuple[torch.Tensor, np.ndarray]:
    pids = retrieval.gallery["pid"].to_numpy()
    rows = np.flatnonzero(pids > 0)
    return retrieval.gallery_features[torch.from_numpy(rows)].cpu(), pids[rows]
