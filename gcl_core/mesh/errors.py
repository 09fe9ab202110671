"""What goes wrong with meshes that a user brings."""


class MeshError(ValueError):
    """A mesh, or a file of body parameters, cannot be used; the text says what is wrong, where and what to do."""


class DoubtfulFacingError(MeshError):
    """A body may as well face elsewhere: what its picture shows may be the other side."""
