"""docs/FIDELITY.md, written from the switches, the open questions, and the names that the losses had before."""

from typing import Any

from gcl_core.fidelity import PAIRS, RENAMED, SWITCHES

# what no text and no figure of the paper at hand tells: the question, the choice made here
OPEN = (
    (
        "Does L'_vi train E_id through f as well, or through f'_new alone?",
        "Through f'_new alone: f is taken as a constant, as the memory row is in whose place it stands.",
    ),
    (
        "Which negatives do L_vi and L'_vi have?",
        "Those of f'_new in all three losses, as released (D6); up to K rows outside the cluster, outliers included.",
    ),
    (
        "Does the feature loss train E_id through the code of x, which the others are compared with?",
        "No: the code of x is a constant there, as released.",
    ),
    (
        "Which rows may f_pos be, where a cluster has one picture alone?",
        "Its own row. DBSCAN with min_samples of 2 or 3 finds no such cluster; with 4 and more it can, rarely: a core "
        "whose neighbours all went to clusters before it.",
    ),
    (
        "Do the image, feature and adversarial losses train E_id in stage 3?",
        "Yes, as released. `joint.drawing_trains_encoder: false` is ours: they train G alone.",
    ),
    (
        "What of a training picture without meshes or a body, which the release never has?",
        "It is clustered, and is a neighbour and a negative, but no step trains on it. Its memory row, which no step "
        "updates, is extracted anew before every clustering, also where D9 is as released.",
    ),
    (
        "Of what size are the real pictures that FID compares drawn ones with?",
        "The study's, as the drawn ones are, also where these are stored as JPEG. The release compares with pictures "
        "as they are distributed (D19).",
    ),
)


INTRODUCTION = """# Paper and release, switch by switch

The released code and the paper differ in places (docs/METHOD.md, section 8), and the text of the main paper could not
be read in full; its architecture figure is known. Each difference that changes a number is one named setting, but for
three. The default, `fidelity: paper`, follows the paper where its text or that figure shows something, and the release
where neither does. The three: stage 3 begins with the end of stage 2, where the release takes its last snapshot, 2 to
7 % of the steps before the end (D12); views are exported with the weights of stage 3, where the release's script loads
those of stage 2 (D18); and stage 3 has 20 epochs, as in the later release (`joint.epochs`; the first had 40, D29). The
other entries of that section are plain defects (a crash, a setting that nothing reads, random numbers that repeat):
they are mended and no setting brings them back.

```bash
./run_all.sh mini profile=mini_released fidelity=released            # every switch as released
./run_all.sh mini profile=mini_some 'fidelity=[D1, D11]'             # only these
./run_all.sh mini profile=mini_own contrast.shared_positive=false    # one setting by name; it wins over `fidelity`
```

Not every switch can act in every profile. The small ones (`smoke`, `mini`, `evidence*`) have no milestones for G and D
in stage 3, so the released schedules (D11) change nothing there, and their optimiser of E_id, weights and temperature
are their own whatever `fidelity` says.

This page is written by `python -m gcl_core switches --out docs/FIDELITY.md` from `gcl_core/fidelity.py`; a test holds
the two together, and checks that every test named here exists."""


def switches_page(defaults: Any) -> str:
    """Return docs/FIDELITY.md; `defaults` is a study with the default settings, whose values the page tells."""
    lines = [INTRODUCTION, "\n| switch | setting | released | default |", "|---|---|---|---|"]
    for switch in SWITCHES:
        for key, value in switch.released.items():
            default = _shown(_read(defaults, key))
            lines.append(f"| {switch.name} | `{key}` | `{_shown(value)}` | `{default}` |")
    for switch in SWITCHES:
        lines.append(f"\n## {switch.name}: {', '.join(f'`{key}`' for key in switch.released)}\n")
        released = ", ".join(_shown(value) for value in switch.released.values())
        default = ", ".join(_shown(_read(defaults, key)) for key in switch.released)
        rows = {
            "paper": switch.paper,
            "release": switch.release,
            "released value": f"`{released}`",
            "default": f"`{default}`" + (" (as released)" if default == released else ""),
            "besides the released one": f"`{switch.alternative}`",
            "effect": switch.effect,
            "shown by": f"`tests/{switch.test}`",
        }
        lines += ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]
    lines += ["\n## What neither text nor figure tells\n", "| open question | choice made |", "|---|---|"]
    lines += [f"| {question} | {choice} |" for question, choice in OPEN]
    return "\n".join([*lines, *_names_of_the_losses()]) + "\n"


def _names_of_the_losses() -> list[str]:
    """Return the section on old names and new ones, line by line."""
    before = {new: old for old, new in RENAMED.items()}
    lines = [
        "\n## Names of the three losses\n",
        "The paper's architecture figure names them by the pairs that they join. The first version of this project had",
        "guessed the names, and had them permuted.\n",
        "| joins | weight of a loss, and its record | before | variant without it | before |",
        "|---|---|---|---|---|",
    ]
    for new, pair in PAIRS.items():
        old = before[new]
        lines.append(f"| {pair} | `{new}` | `{old}` | `no_{new}` | `no_l_{old}` |")
    settings = [f"`contrast.{new}` was `contrast.{old}` before." for old, new in RENAMED.items() if new not in PAIRS]
    return [*lines, "", *settings, "Old settings are refused with a message that has the new name."]


def _read(study: Any, key: str) -> Any:
    for part in key.split("."):
        study = getattr(study, part)
    return study


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
