"""gVisor on this machine, without Docker: as root, or as an ordinary user in a user namespace.

driver      start, connect, stop, destroy
launch      the helper that becomes `runsc run`: namespaces, mounts (a script of its own)
bundle      the OCI configuration
rootfs      template `host`: what is mounted where; layer, etc, locales, toolchains: what it consists of
places      where on the host the files of a sandbox lie that has never run
copying     a second sandbox with the same files;  memory  what runs, on disk
processes   finding and ending a sandbox's host processes; record: remembering them; removal: deleting its files
cgroups     limits;  locate  which runsc;  failures  errors with remedies;  probe  the checks for `doctor`
"""

from .driver import RunscDriver

__all__ = ["RunscDriver"]
