"""`python -m gcl_core`."""

import locale
import os
import signal
import sys

interrupted = signal.getsignal(signal.SIGINT)  # ignored where a shell started it in the background, and stays so
if interrupted is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it is at work, where it says what was kept

if sys.getfilesystemencoding() != "utf-8":  # files are in UTF-8 whatever the terminal's character set
    printed = os.environ.get("PYTHONIOENCODING") or f"{locale.getencoding()}:replace"
    here = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": printed}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], here)

try:
    from gcl_core.cli import main

    signal.signal(signal.SIGINT, interrupted)
    main()
except ModuleNotFoundError as error:
    if (error.name or "").startswith("gcl_core"):
        raise
    own = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".venv", "bin", "python")
    advice = f"use {own}" if os.path.exists(own) else "./run_all.sh --dry-run sets up .venv, whose bin/python has it"
    advice = f"install it there, if it is optional: pip install {error.name}" if sys.executable == own else advice
    advice = "docs/GPU.md says how to bring what the check needs" if "gpu-check" in sys.argv else advice
    sys.exit(f"{sys.executable} has no package {error.name!r}: {advice}")
