"""What a study consists of, what of it would run, and what that would cost here."""

from collections.abc import Sequence

from gcl_core.config import Study


def show_plan(study: Study, profile: str, overrides: Sequence[str], *, costs: bool) -> None:
    """Print a study's plan; with `costs` also time and memory, from a short measurement, if anything is to run.

    Raises RunError or DataError when the study cannot be planned or its pictures cannot be counted.
    """
    from gcl_core.workflow.study import step_states

    if costs and study.device == "cuda":
        from gcl_core.device import resolve_device

        resolve_device(study.device)  # says so before all else where there is none
    people, size, root = study.people, study.picture, study.data_root
    data = (
        f"synthetic people, {people.train_identities} to train and {people.test_identities} to test on, "
        f"{people.cameras} cameras, {people.pictures_per_identity} pictures each"
        if study.dataset == "synthetic" and root is None
        else f"{study.dataset} in {root}{'' if root and root.exists() else ' (not there)'}"
    )
    print(f"profile   {study.profile}")
    print(f"data      {data}; {size.height}x{size.width} pixels")
    if study.source is not None:
        print(f"source    {study.source.dataset}, labelled, learned from first")
    print(f"stage 1   {study.baseline.method}")
    print(f"epochs    {_epochs(study)}")
    print(f"variants  {', '.join(study.variants)}")
    print(f"seeds     {', '.join(map(str, range(study.seeds)))}")
    print(f"fidelity  {study.fidelity if isinstance(study.fidelity, str) else ', '.join(study.fidelity)}")
    print(f"device    {study.device}\n")
    states = step_states(profile, overrides)
    width = max(map(len, states))
    for name, done in states.items():
        print(f"{name:{width}}  {'done' if done else 'to run'}")
    waiting = list(states.values()).count(False)
    print(f"\n{waiting} of {len(states)} steps to run" if waiting else "\nnothing to do: every step is up to date")
    if costs and waiting:
        _show_costs(study)


def _epochs(study: Study) -> str:
    own = getattr(study.baseline, study.baseline.method)
    first = "baseline from a checkpoint" if study.baseline.method == "checkpoint" else f"baseline {own.epochs}"
    return f"{first}, warm-up {study.warm_up.epochs}, joint {study.joint.epochs}"


def _show_costs(study: Study) -> None:
    from gcl_core.device import resolve_device
    from gcl_core.layout import Layout
    from gcl_core.workflow.cost import measure_costs
    from gcl_core.workflow.counts import count_pictures

    layout, device = Layout(study), resolve_device(study.device)
    counts = count_pictures(layout)
    pictures = sum(counts.values())
    seen = [(each.bodies, each.turned) for each in study.variants.values() if each.view.startswith("surface")]
    colours = 3 * pictures + 3 * 7 * len(set(seen)) * counts["train"]
    sets = study.seeds if study.people.each_seed else 1
    stored = sets * study.picture.height * study.picture.width * (colours + 8 * pictures)
    print(f"\nThe whole study on {device.type}, {study.seeds} seed{'s' if study.seeds > 1 else ''}, as measured now:\n")
    memory = "GPU memory" if device.type == "cuda" else "memory"
    print(f"pictures  {counts['train']} to train, {counts['query']} queries, {counts['gallery']} in the gallery")
    print(f"disk      {stored / 1e9:.1f} GB of decoded pictures, projections and views over the surface\n")
    print(f"{'what':<52}{'times':>9}{'each':>10}{'in all':>11}{memory:>12}", flush=True)
    total = 0.0
    for cost in measure_costs(layout, counts):
        total += cost.total * study.seeds
        times = cost.times * study.seeds
        print(
            f"{cost.what:<52}{times:>9,}{_time(cost.seconds):>10}{_time(cost.total * study.seeds):>11}"
            f"{cost.memory / 1e9:>9.1f} GB",
            flush=True,
        )
    print(f"\ntogether about {_time(total)}, one after the other; preparing the data, views over the surface, ranking")
    print("galleries and making figures come on top")


def _time(seconds: float) -> str:
    """Return seconds as people say them."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.1f} {unit}"
    return f"{1000 * seconds:.0f} ms"
