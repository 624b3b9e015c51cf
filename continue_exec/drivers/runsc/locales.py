"""The C.UTF-8 locale as one file.

Every program inside starts with LANG=C.UTF-8. Where that locale is a folder of files, as on Debian and Ubuntu, the C
library opens twelve of them and an alias table at each start of bash, ls, git or python: of the 110 system calls of an
`echo`, 70. Inside gVisor each costs ten times what it does outside, together a third of the program's start. From an
archive (localedef(1)) it takes four.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = Path("/usr/lib/locale")
"""The C library's own, of the host."""

NAME = "C.utf8"
"""The locale's folder: glibc's normalised name."""

MOST_BYTES = 32 << 20
"""A larger archive of the host's is not copied: some distributions ship one of 200 MiB. It is used as it is."""

TIMEOUT_S = 10.0
"""For localedef, which takes 5 ms: it only packs what is compiled already."""


def archive(over: Path, *, folder: Path = FOLDER) -> bool:
    """Make the archive of the host's locales, with NAME added.

    Args:
        over: what lies over the host's root folder; the archive comes to stand in it by its usual path.
        folder: the host's locales.

    Returns:
        Whether there is one. Without, programs find the locale as they do on the host, only slower.
    """
    program = shutil.which("localedef", path="/usr/bin:/bin")
    if program is None or not (folder / NAME / "LC_CTYPE").is_file():
        return False
    made = over / "usr/lib/locale/locale-archive"
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        if (folder / made.name).is_file():
            if (folder / made.name).stat().st_size > MOST_BYTES:
                return False
            shutil.copyfile(folder / made.name, made)
        subprocess.run(
            [program, f"--prefix={over}", "--add-to-archive", str(folder / NAME)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=TIMEOUT_S,
        )
        made.chmod(0o644)
    except (OSError, subprocess.SubprocessError) as error:
        log.info("no archive of locales: %s", error)
        made.unlink(missing_ok=True)
        return False
    return True
