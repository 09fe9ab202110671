"""The study of GCL (CVPR 2021): one package under the notebooks."""
