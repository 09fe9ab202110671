"""What the losses are called: the key of a record or weight → the title that people read; and how they are grouped."""

# by the pairs that they join: (f, f_pos), (f, f'_new), (f'_new, f_pos), METHOD.md §3.3
VIEW_INVARIANT = {"l_vi": "L_vi", "l_vi_prime": "L'_vi", "l_vi_second": "L''_vi"}
CONTRASTIVE = {"loss": "contrastive", **VIEW_INVARIANT}
RECONSTRUCTION = {
    "image": "image reconstruction",
    "cycle": "image cycle",
    "feature": "feature reconstruction",
    "feature_cycle": "feature cycle",
}
ADVERSARIAL = {"adversarial": "adversarial (G)", "discriminator": "discriminator", "penalty": "penalty (D)"}
TITLES = {**CONTRASTIVE, **RECONSTRUCTION, **ADVERSARIAL}
GROUPS = {
    "contrastive losses": tuple(CONTRASTIVE),
    "reconstruction losses": tuple(RECONSTRUCTION),
    "adversarial losses": tuple(ADVERSARIAL),
}
ON_EPOCH_LINE = ("loss", "image", "adversarial", "discriminator", "l_vi_prime")  # of the journal, on the screen
