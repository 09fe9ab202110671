"""`python -m gcl_core`."""

import locale
import os
import sys

if sys.getfilesystemencoding() != "utf-8":  # files are in UTF-8 whatever the terminal's character set
    printed = os.environ.get("PYTHONIOENCODING") or f"{locale.getencoding()}:replace"
    here = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": printed}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], here)

from gcl_core.cli import main

main()
