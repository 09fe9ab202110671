"""Ends every process of a run, also when the run itself was killed.

It is started as `python -m gcl_core.workflow.guard MARK` at a pipe's end.

Notebooks run in sessions of their own and start workers of their own, which outlive them when they are killed. Each
inherits an environment variable with the run's mark, and by that they are found.
"""

import contextlib
import sys

import psutil

VARIABLE = "GCL_STUDY_RUN"  # only a label: nothing reads it but this


def end_processes(mark: str) -> None:
    """Kill all processes that carry the mark, and those that they start meanwhile."""
    while True:
        marked = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # gone, or not ours to look at
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(VARIABLE) == mark:
                    process.kill()
                    marked.append(process)
        if not marked:
            return
        psutil.wait_procs(marked, timeout=5)


if __name__ == "__main__":
    sys.stdin.read()  # returns when the only process that holds the other end is gone
    end_processes(sys.argv[1])
