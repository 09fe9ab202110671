"""What goes wrong with meshes that a user brings."""


class MeshError(ValueError):
    """A mesh, or a file of body parameters, cannot be used; the text says what is wrong, where and what to do."""
