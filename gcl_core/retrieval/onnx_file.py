"""E_id as an ONNX file: pictures in [0, 1] → L2-normalised features."""

import importlib.util
from pathlib import Path

import torch

from gcl_core.files import RunError, atomic
from gcl_core.retrieval.encoder import Embedder, RunEncoder

NEEDED = ("onnx", "onnxscript")


def export_onnx(run: RunEncoder, path: Path) -> None:
    """Write E_id of a run as one ONNX file, whole or not at all.

    Input `pictures`: float32, batch x 3 x height x width, RGB in [0, 1], of the run's size; the batch's length is free.
    Output `features`: float32, batch x d, L2-normalised. Raises RunError where the optional packages are not installed.
    """
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        raise RunError(f"export-onnx needs {' and '.join(absent)}: pip install {' '.join(absent)}")
    network = Embedder(run.encoder).eval().cpu()
    pictures = torch.zeros(2, 3, run.height, run.width)
    with torch.no_grad():
        network(pictures)  # constants that are made at first use must not be made by the exporter
    with atomic(path) as temporary:
        torch.onnx.export(
            network,
            (pictures,),
            temporary,
            dynamo=True,
            external_data=False,
            input_names=["pictures"],
            output_names=["features"],
            dynamic_shapes={"pictures": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
