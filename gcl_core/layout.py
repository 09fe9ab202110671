"""Where the artifacts of a study live."""

from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path

from gcl_core.config import REPOSITORY, ConfigError, Study, check_name

BODIES = ("bodies.csv", "poses.npz")  # beside the projections: of `fit-bodies` and of `pose-bodies`
REFERENCE = "reference"  # in `figures/`: the folder of the figures that are committed, which no run writes


@dataclass(frozen=True)
class Layout:
    """Every path of a study; `root` is the folder that holds `runs/` and `figures/`, the repository by default."""

    study: Study
    root: Path = REPOSITORY
    people_of: int | None = None  # the seed whose people this is about, where each seed has its own
    reference: bool = False  # about the committed figures rather than those of runs made here
    named: bool = field(default=False, repr=False, compare=False)  # the profile's name is known to fit its settings

    def __post_init__(self) -> None:
        """Refuse changed training settings under a shipped profile's name in the checkout's own folders.

        Refuse also a profile whose figures would lie where the committed ones do.
        """
        if self.study.profile == REFERENCE:
            raise ConfigError(
                f"profile={REFERENCE} is no name for a profile: figures/{REFERENCE}/ has committed figures"
            )
        if not self.named and self.root == REPOSITORY:
            check_name(self.study)
        object.__setattr__(self, "named", True)

    def of_seed(self, seed: int = 0) -> "Layout":
        """Return the layout as a seed's stages see it: with that seed's own people, where each seed has its own.

        Raises ConfigError for a seed that is no whole number from 0.
        """
        if not isinstance(seed, Integral) or seed < 0:
            raise ConfigError(f"seed is {seed!r}: expected a whole number from 0")
        people = self.study.people
        if not people.each_seed or self.people_of == seed:
            return self
        first = people.seed - (self.people_of or 0)
        study = self.study.model_copy(update={"people": people.model_copy(update={"seed": first + seed})})
        return replace(self, study=study, people_of=seed)

    @property
    def runs(self) -> Path:
        """Folder of all artifacts of this profile."""
        return self.root / "runs" / self.study.profile

    @property
    def figures(self) -> Path:
        """Folder of the figures and tables of this profile: of runs made here or, with `reference`, committed."""
        return self.root / "figures" / (REFERENCE if self.reference else "") / self.study.profile

    @property
    def data_root(self) -> Path:
        """Folder of the pictures: the user's, or the synthetic people's."""
        return self.study.data_root or self.runs / "people" / self._own

    @property
    def mesh_root(self) -> Path:
        """Folder of the mesh projections in the released layout (§1.3)."""
        return self.study.mesh_root or self.data_root / "meshes"

    @property
    def bodies(self) -> Path | None:
        """File of the bodies estimated for the projections, the first of BODIES that is there; None without."""
        return next((path for name in BODIES if (path := self.mesh_root / name).is_file()), None)

    @property
    def store(self) -> Path:
        """Folder of the decoded pictures and projections and their index."""
        return self.runs / "data" / self._own

    @property
    def _own(self) -> str:
        return "" if self.people_of is None else f"seed{self.people_of}"

    def stage(self, name: str, seed: int, repeat: int = 0) -> Path:
        """Run folder of `baseline`, `warm_up` or a variant; of a variant's repeats after the first one each."""
        return self.runs / name / (f"seed{seed}" + (f"_repeat{repeat}" if repeat else ""))
