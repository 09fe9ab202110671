"""Settings of stage 1: what warms up the identity encoder (METHOD.md §6)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gcl_core.settings.common import OptimizerSettings, Positive, Rate, Settings, Share, Weight
from gcl_core.settings.training import ClusteringSettings


class TdaSettings(Settings):
    """Stage 1 of our own (§6.1 turned into a start from scratch): instance discrimination, then clustering."""

    epochs: Positive = 40
    instance_epochs: Annotated[int, Field(ge=0)] = 5  # every picture its own class
    batch_size: Annotated[int, Field(ge=2)] = 16
    optimizer: OptimizerSettings = OptimizerSettings(lr=3.5e-4, betas=(0.9, 0.999), milestones=(20,))
    temperature: Annotated[float, Field(gt=0, le=10)] | None = None  # null: that of `contrast`


class JvtcSettings(Settings):
    """Stage 1 of the paper's unsupervised rows (§6.2): local and global losses, memory, visual-temporal labels.

    The optimiser's milestones are, as JVTC counts, the first epochs (from 1) with a lower rate.
    """

    epochs: Positive = 100
    instances: Annotated[int, Field(ge=2)] = 32  # in a batch
    copies: Annotated[int, Field(ge=1)] = 4  # of an instance: K
    optimizer: OptimizerSettings = OptimizerSettings(kind="sgd", lr=0.01, milestones=(40, 80))
    new_layers: Rate = 10.0  # learning rate of embedding, neck and classifier, in those of the trunk
    local_temperature: Rate = 0.1  # β1; MSMT17: 0.05
    global_temperature: Rate = 0.05  # β2
    global_weight: Weight = 0.2
    global_from: Positive = 10  # first epoch with L_global; its labels are new every `relabel_every` epochs
    joint_from: Positive = 30  # first epoch whose labels use the joint visual-temporal distance
    relabel_every: Positive = 5
    keep_old_step: Share = 0.01  # the memory's old row weighs min(step · epoch, most)
    keep_old_most: Share = 0.8
    unit_memory: bool = False  # MSMT17: true
    k1: Annotated[int, Field(ge=2)] = 20  # others, besides the picture itself
    k2: Annotated[int, Field(ge=1)] = 6
    original_share: Share = 0.3  # of the original distance in the re-ranked one
    joint_share: Share = 0.5  # the same with the joint distance; MSMT17: 0.3
    rho: Annotated[float, Field(gt=0, le=1)] = 1.6e-3  # of labels by looks
    joint_rho: Annotated[float, Field(gt=0, le=1)] | None = None  # of labels by looks and time; null: `rho`
    eps_scale: Rate = 0.8  # of labels by looks, without a labelled source; with one ε is as the ρ rule gives it
    joint_eps_scale: Rate | None = None  # the same of labels by looks and time; null: `eps_scale`
    min_samples: Positive = 1  # no outliers
    time_slots: bool = False  # MSMT17: by looks and time, cluster each time slot of the file names apart
    frame_interval: Positive = 100  # frames a bin of the temporal model; MSMT17: 1
    bins: Positive = 3000
    smoothing: Annotated[float, Field(gt=0)] = 50.0  # σ in bins, cut off at 3σ
    camera_styles: Path | None = None  # CamStyle pictures; null: TDA copies, said in the manifest
    flip: Share = 0.5
    erase: Share = 0.5
    erase_area: tuple[Share, Share] = (0.02, 0.2)
    erase_aspect: tuple[Rate, Rate] = (0.3, 3.0)

    @property
    def joint_rule(self) -> tuple[float, float]:
        """ρ and the scale of ε for labels by looks and time."""
        return self.joint_rho or self.rho, self.joint_eps_scale or self.eps_scale


class ClusterContrastSettings(Settings):
    """A modern stage 1: one memory slot a cluster, PK sampling (constants of the public ClusterContrast scripts)."""

    epochs: Positive = 50
    instance_epochs: Annotated[int, Field(ge=0)] = 0  # the first of them, with every picture its own class (ours)
    iterations: Positive | None = 200  # an epoch; null: as many as the clustered pictures fill
    identities: Annotated[int, Field(ge=2)] = 16  # P: clusters in a batch
    instances: Annotated[int, Field(ge=1)] = 16  # K: pictures of each
    temperature: Rate = 0.05
    keep_old: Share = 0.1  # weight of the old slot
    optimizer: OptimizerSettings = OptimizerSettings(lr=3.5e-4, betas=(0.9, 0.999), milestones=(20, 40))


class BaselineSettings(Settings):
    """Stage 1 (§5.1): which method warms up E_id, or a checkpoint in its stead."""

    method: Literal["tda", "jvtc", "cluster_contrast", "checkpoint"] = "tda"
    tda: TdaSettings = TdaSettings()
    jvtc: JvtcSettings = JvtcSettings()
    cluster_contrast: ClusterContrastSettings = ClusterContrastSettings()
    # of methods tda and cluster_contrast, for features too young for stage 3's (ours); null: the study's clustering
    clustering: ClusteringSettings | None = None
    checkpoint: Path | None = None  # method `checkpoint`: ours (.safetensors) or the authors' (.pth, .pt)
    threads: Positive | None = None  # CPU threads; null: all
