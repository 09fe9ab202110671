"""Fidelity of drawn pictures to their true pictures."""

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from torch import Tensor


def psnr_ssim(
    drawn: UInt8[Tensor, "n 3 h w"], truth: UInt8[Tensor, "n 3 h w"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"]]:
    """Return PSNR (dB, infinite for equal pictures) and SSIM (at most 1) of each drawn picture against its true one.

    Both are over all pixels and channels; SSIM has the Gaussian window (σ 1.5, 11 pixels) of Wang et al. 2004, so
    pictures need at least 11 pixels per side; ValueError otherwise.
    """
    if min(drawn.shape[2:]) < 11:
        raise ValueError(f"pictures of {drawn.shape[2]}x{drawn.shape[3]}: SSIM needs at least 11 pixels per side")
    from skimage.metrics import structural_similarity  # a second to import

    psnr, ssim = np.empty(len(drawn)), np.empty(len(drawn))
    for index, (ours, true) in enumerate(zip(drawn.cpu().numpy(), truth.cpu().numpy(), strict=True)):
        psnr[index] = _psnr(ours, true)
        ssim[index] = structural_similarity(
            true, ours, channel_axis=0, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    return psnr, ssim


def person_psnr(
    given: UInt8[np.ndarray, "n h w 3"], truth: UInt8[np.ndarray, "n h w 3"], person: Bool[np.ndarray, "n h w"]
) -> Float64[np.ndarray, "n"]:
    """Return PSNR (dB) over the pixels of `person` alone: infinite where they are equal, NaN where there are none.

    A view with the right background and the wrong person would do well over all pixels.
    """
    each = zip(given, truth, person, strict=True)
    return np.array([_psnr(ours[seen], true[seen]) if seen.any() else np.nan for ours, true, seen in each])


def _psnr(ours: UInt8[np.ndarray, "..."], true: UInt8[np.ndarray, "..."]) -> float:
    from skimage.metrics import peak_signal_noise_ratio  # a second to import

    same = np.array_equal(ours, true)  # scikit-image divides by zero
    return np.inf if same else float(peak_signal_noise_ratio(true, ours, data_range=255))
