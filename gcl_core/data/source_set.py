"""The labelled source set of the domain-adaptation setting: a prepared set of its own beside the study's."""

from gcl_core.config import SourceSettings
from gcl_core.data.person_set import PersonSet, load_person_set
from gcl_core.data.preparation import prepare_data
from gcl_core.layout import Layout


def source_layout(layout: Layout) -> Layout:
    """Return the layout of a study's source set, `<profile>.source` beside it, to be prepared like any other set."""
    source = source_settings(layout)
    changes = {
        "profile": f"{layout.study.profile}.source",
        "dataset": source.dataset,
        "data_root": source.data_root,
        "mesh_root": None,
        "people": source.people,
        "on_missing_mesh": "leave_out",  # nothing is drawn of the source
        "source": None,
    }
    return Layout(layout.study.model_copy(update=changes), root=layout.root)


def prepare_source(layout: Layout) -> PersonSet:
    """Make or decode the source set, without projections, and return it. Raises as `prepare_data`."""
    return prepare_data(source_layout(layout), projections=False)


def load_source_set(layout: Layout) -> PersonSet:
    """Open the prepared source set. Raises as `load_person_set`."""
    return load_person_set(source_layout(layout), profile=layout.study.profile)


def source_settings(layout: Layout) -> SourceSettings:
    """Return the settings of the source set. Raises ValueError for a study without one."""
    if layout.study.source is None:
        raise ValueError("this study has no source set (setting `source`)")
    return layout.study.source
