# The study as a DAG: one rule per notebook, papermill runs it. `./run_all.sh` starts it; by hand, in the environment:
#   snakemake --config profile=mini --cores 2 --rerun-triggers mtime input params
#
# A step is done when its file in runs/<profile>/steps/ is there. It runs again when a step before it ran, when a
# setting, its notebook or the code that the notebook imports changed (its fingerprint, which comments and docstrings do
# not touch), or when one of its figures, tables or records (gcl_core/outputs.py) is missing; the first step also when
# the files of the data changed. A run that is gone or stale is found by gcl_core/workflow/study.py.
# Trainings resume by themselves, so no checkpoint is declared here: Snakemake would delete it before the step.
import hashlib
import os
import shlex
import sys
from pathlib import Path

from gcl_core.config import is_file_of_settings, load_study, settled
from gcl_core.data.source_set import source_layout
from gcl_core.data.sources import source_state
from gcl_core.files import hash_file
from gcl_core.layout import Layout
from gcl_core.outputs import GALLERY, MERGING, RETRIEVED, written_by
from gcl_core.provenance import code_of, fingerprint, step_code
from gcl_core.settings.paths import placed

PROFILE, OVERRIDES = str(config.get("profile", "mini")), config.get("overrides") or []  # words, as a list or one text
if is_file_of_settings(PROFILE):  # notebooks run in a folder of their own, so paths are absolute from here on
    PROFILE = placed(PROFILE, Path.cwd())
WORDS = list(map(settled, shlex.split(OVERRIDES) if isinstance(OVERRIDES, str) else OVERRIDES))
study = load_study(PROFILE, WORDS)
RUNS, FIGURES = f"runs/{study.profile}", f"figures/{study.profile}"
SEEDS = range(study.seeds)
SETTINGS = hashlib.sha256(study.model_dump_json(exclude={"seeds"}).encode()).hexdigest()  # more seeds only add steps
LAYOUT = Layout(study)
DATA = [source_state(LAYOUT), source_state(source_layout(LAYOUT), projections=False) if study.source else ""]


def literal(*words):
    """Words as one text for the shell, in which Snakemake fills in nothing."""
    return shlex.join(words).replace("{", "{{").replace("}", "}}")


# What a step asks of a cluster: GPUs, minutes, megabytes. They are ceilings, not measurements; configs/cluster/ can change
# them by rule. A training that reaches its minutes goes on in its next attempt. On one machine only `gpu` ever limits.
GPU = int(study.device != "cpu")
TRAINS = {"gpu": GPU * study.devices, "runtime": 24 * 60, "mem_mb": 32_000}
MEASURES = {"gpu": GPU, "runtime": 8 * 60, "mem_mb": 32_000}
DECODES = {"gpu": 0, "runtime": 8 * 60, "mem_mb": 16_000}
READS = {"gpu": 0, "runtime": 60, "mem_mb": 8_000}  # tables and curves of what trainings recorded

# Where a machine has several GPUs (GCL_GPUS, by run_study), a step leaves cores to those on the other ones. Trainings and
# measurements of a small study have one thread each, so that two cores share the steps and none waits.
GPUS = len(os.environ.get("GCL_GPUS", "").split()) or 1
SHARE = max(1, workflow.cores * min(study.devices, GPUS) // GPUS)
THREADS = study.joint.threads or SHARE

# every step runs in the interpreter that started the study
RUN = "bash scripts/step.sh " + literal(sys.executable) + " {params.notebook} {log} {output.step} {threads} {resources.gpu} "
RUN += literal("-r", "profile", PROFILE, "-r", "overrides", shlex.join(WORDS)) + " {params.given}"
TELL = literal(sys.executable, "-m", "gcl_core", "report", PROFILE, *WORDS) + "\n"


def step(name):
    return f"{RUNS}/steps/{name}.done"


def executed(name):
    return f"{RUNS}/notebooks/{name}.ipynb"


def runs(name, given=""):
    """A notebook as a step's parameters: its content counts, not its time, which another machine's clock may have set."""
    path = f"notebooks/{name}.ipynb"
    return {"notebook": path, "settings": SETTINGS, "code": step_code(Path(workflow.basedir, path)), "given": given}


def made_by(notebook):
    return [f"{FIGURES}/{name}" for name in written_by(notebook, study)]


def trained(variants, seeds=SEEDS):
    return [step(f"04_joint_training_{variant}_seed{seed}") for variant in variants for seed in seeds]


def people_of_seed(wildcards):
    own = study.people.each_seed and wildcards.seed != "0"
    return step("00_data_preparation" + (f"_seed{wildcards.seed}" if own else ""))


def start_of_variant(wildcards):
    """A variant that draws views needs the generator; the larger input also makes the scheduler start it earlier."""
    baseline, warm_up = step(f"01_baseline_seed{wildcards.seed}"), step(f"03_generator_warm_up_seed{wildcards.seed}")
    return [baseline, warm_up] if study.variants[wildcards.variant].needs_generator else [baseline]


DATASET = made_by("00_data_preparation")
CLUSTERS = made_by("02_clustering_analysis")
FID = made_by("05_fid_per_view")
CURVES = made_by("06_cluster_count_curves")
ABLATIONS = made_by("07_ablations")
VIEWS = made_by("08_generated_views")
THREE = made_by("09_three_datasets")
ERRORS = made_by("10_error_analysis")
CLAIMS = made_by("11_claims")
NOVEL = made_by("12_novel_view_dataset")
SURFACE = made_by("13_views_over_the_surface")
TEMPLATE = Path(workflow.basedir, "gcl_core/report/report.html.j2")
REPORT = [f"{FIGURES}/{name}" for name in ("report.html", "how-to-cite.md", GALLERY)]
REPORT_CODE = [code_of(f"gcl_core.{name}") for name in ("report.page", "figures.gallery")]


wildcard_constraints:
    seed=r"\d+",
    variant="|".join(study.variants),


rule all:
    input:
        DATASET, CLUSTERS, FID, CURVES, ABLATIONS, VIEWS, THREE, ERRORS, CLAIMS, NOVEL, SURFACE, REPORT,
        step("13_views_over_the_surface_seed0"),  # it saves no figure where there are no bodies
        step("03b_method_on_eight_pictures_seed0"),  # it teaches and saves nothing


rule data_preparation:
    output: DATASET, step=step("00_data_preparation")
    log: executed("00_data_preparation")
    params: data=DATA, **runs("00_data_preparation", "-p seed 0")
    threads: workflow.cores
    priority: 3  # first of all: it takes every core, and would wait until no training runs
    resources: **DECODES
    shell: RUN


rule more_people:  # of the seeds after the first, where each has its own
    output: step=step("00_data_preparation_seed{seed}")
    log: executed("00_data_preparation_seed{seed}")
    params: **runs("00_data_preparation", "-p seed {seed}")
    threads: workflow.cores
    priority: 3
    resources: **DECODES
    shell: RUN


rule baseline:
    input: people_of_seed
    output: step=step("01_baseline_seed{seed}")
    log: executed("01_baseline_seed{seed}")
    params: **runs("01_baseline", "-p seed {seed}")
    threads: study.baseline.threads or SHARE
    priority: 2
    resources: **TRAINS
    shell: RUN


rule clustering_analysis:
    input: step("01_baseline_seed0")
    output: CLUSTERS, step=step("02_clustering_analysis_seed0")
    log: executed("02_clustering_analysis_seed0")
    params: **runs("02_clustering_analysis", "-p seed 0")
    resources: **MEASURES
    shell: RUN


rule generator_warm_up:
    input: step("01_baseline_seed{seed}")
    output: step=step("03_generator_warm_up_seed{seed}")
    log: executed("03_generator_warm_up_seed{seed}")
    params: **runs("03_generator_warm_up", "-p seed {seed}")
    threads: study.warm_up.threads or SHARE
    priority: 2
    resources: **TRAINS
    shell: RUN


rule method_on_eight_pictures:
    input: step("03_generator_warm_up_seed0")
    output: step=step("03b_method_on_eight_pictures_seed0")
    log: executed("03b_method_on_eight_pictures_seed0")
    params: **runs("03b_method_on_eight_pictures", "-p seed 0")
    resources: **MEASURES
    shell: RUN


rule joint_training:
    input: start_of_variant
    output: step=step("04_joint_training_{variant}_seed{seed}")
    log: executed("04_joint_training_{variant}_seed{seed}")
    params: **runs("04_joint_training", "-r variant {variant} -p seed {seed}")
    threads: THREADS
    priority: 1
    resources: **TRAINS
    shell: RUN


rule fid_per_view:
    input: trained(study.evaluation.fid_variants)
    output: FID, step=step("05_fid_per_view")
    log: executed("05_fid_per_view")
    params: **runs("05_fid_per_view")
    threads: THREADS
    priority: 2
    resources: **MEASURES
    shell: RUN


rule cluster_count_curves:
    input: trained(study.variants)
    output: CURVES, step=step("06_cluster_count_curves")
    log: executed("06_cluster_count_curves")
    params: **runs("06_cluster_count_curves")
    resources: **READS
    shell: RUN


rule ablations:
    input: trained(study.variants)
    output: ABLATIONS, step=step("07_ablations")
    log: executed("07_ablations")
    params: **runs("07_ablations")
    resources: **(READS if study.dataset == "synthetic" else MEASURES)  # real people are ranked by three protocols
    shell: RUN


rule generated_views:
    input:
        trained([*study.evaluation.fid_variants, *({MERGING} & study.variants.keys())], [0]),
        step("05_fid_per_view"),
        step("13_views_over_the_surface_seed0"),  # measured the views that nothing has to be trained for
    output: VIEWS, step=step("08_generated_views_seed0")
    log: executed("08_generated_views_seed0")
    params: **runs("08_generated_views", "-p seed 0")
    threads: THREADS
    resources: **MEASURES
    shell: RUN


# runs of the three datasets' own profiles are read where they are there: they cannot be declared, as they may not be;
# of what was handed in the content counts
rule three_datasets:
    input:
        trained(study.variants),
        step("05_fid_per_view"),
    output: THREE, step=step("09_three_datasets")
    log: executed("09_three_datasets")
    params: handed_in=[hash_file(path) for path in sorted(Path("results").glob("*.zip"))], **runs("09_three_datasets")
    resources: **READS
    shell: RUN


rule error_analysis:
    input: trained([name for name in RETRIEVED if name in study.variants], [0])
    output: ERRORS, step=step("10_error_analysis_seed0")
    log: executed("10_error_analysis_seed0")
    params: **runs("10_error_analysis", "-p seed 0")
    threads: THREADS
    priority: 2
    resources: **MEASURES
    shell: RUN


rule claims:
    input: trained(study.variants), step("05_fid_per_view")
    output: CLAIMS, step=step("11_claims")
    log: executed("11_claims")
    params: **runs("11_claims")
    threads: THREADS
    resources: **MEASURES
    shell: RUN


rule novel_view_dataset:
    input: trained(["gcl"], [0])
    output: NOVEL, step=step("12_novel_view_dataset_seed0")
    log: executed("12_novel_view_dataset_seed0")
    params: **runs("12_novel_view_dataset", "-p seed 0")
    threads: THREADS
    resources: **MEASURES
    shell: RUN


rule views_over_the_surface:
    input: step("00_data_preparation")
    output: SURFACE, step=step("13_views_over_the_surface_seed0")
    log: executed("13_views_over_the_surface_seed0")
    params: **runs("13_views_over_the_surface", "-p seed 0")
    threads: THREADS
    resources: **MEASURES
    shell: RUN


# no notebook: it shows what they made, in a few seconds, so that it also runs where a cluster's jobs are handed out
rule report:
    input:
        *[DATASET, CLUSTERS, FID, CURVES, ABLATIONS, VIEWS, THREE, ERRORS, CLAIMS, NOVEL, SURFACE],
        *[step("09_three_datasets"), step("03b_method_on_eight_pictures_seed0")],  # they may keep no file
    output: REPORT, step=step("report")
    params: settings=SETTINGS, code=fingerprint([*REPORT_CODE, hash_file(TEMPLATE)])
    localrule: True
    resources: **READS
    shell: "SECONDS=0\n" + TELL + "echo $(date -u +%Y-%m-%dT%H:%M:%SZ) $SECONDS s > {output.step}"
