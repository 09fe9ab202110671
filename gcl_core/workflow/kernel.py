"""The kernel of a notebook that runs as a step: ipykernel's own, begun and ended in two thirds of the time.

PyTorch is a million objects that never become garbage. Python looks through them again and again while they are
imported, and takes them apart one by one at its end; here it does not.
"""

import atexit
import gc
import importlib
import os

if __name__ == "__main__":
    atexit.register(os._exit, 0)  # the first that is registered is the last that is done
    gc.disable()
    importlib.import_module("torch")  # as every notebook will

    gc.freeze()
    gc.enable()
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
