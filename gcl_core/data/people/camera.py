"""The camera rig: eight cameras, the same in every set, so that a seed changes the people and not the difficulty."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Camera:
    """What one camera does to every picture it takes."""

    yaws: tuple[int, int]  # how people walk past it, degrees; two of three times the first
    elevation: float  # how far it looks down, degrees
    cast: tuple[float, float, float]  # gain of red, green, blue
    exposure: float
    light: float  # where the light comes from, degrees towards image-right of the camera
    blur: float  # standard deviation in pixels of a picture 128 rows high
    quality: int  # JPEG
    occluded: float  # share of pictures with something in front of the person


# The first four stand a quarter turn apart, the others between them: over four and over eight no side is favoured.
CAMERAS: tuple[Camera, ...] = (
    Camera((0, 45), 6.0, (1.03, 1.00, 0.98), 1.03, -35.0, 0.5, 92, 0.05),
    Camera((270, 315), 9.0, (0.98, 1.00, 1.03), 0.96, 25.0, 0.7, 88, 0.10),
    Camera((180, 225), 5.0, (1.00, 1.02, 0.98), 1.00, -15.0, 0.9, 85, 0.05),
    Camera((90, 135), 10.0, (1.02, 0.98, 1.01), 0.97, 40.0, 0.6, 90, 0.10),
    Camera((45, 225), 7.0, (0.98, 1.02, 1.00), 1.04, 10.0, 0.8, 86, 0.05),
    Camera((225, 45), 8.0, (1.01, 0.99, 1.02), 0.98, -30.0, 0.7, 88, 0.10),
    Camera((135, 315), 6.0, (0.99, 1.01, 0.98), 1.01, 20.0, 0.6, 90, 0.05),
    Camera((315, 135), 9.0, (1.00, 0.99, 1.02), 0.99, -20.0, 0.8, 86, 0.10),
)
"""In the order of the camera numbers, which begin at 1."""
