"""Files that belong to no sandbox: copies that an earlier engine had made and did not live to delete."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ..errors import ContinueExecError
from ..model import Sandbox, SandboxState, Workspace

if TYPE_CHECKING:
    from .sandboxes import Sandboxes

log = logging.getLogger(__name__)


async def sweep(sandboxes: Sandboxes) -> None:
    """Delete them, and end what runs in them; before any request, since a copy is known to nobody while it is made."""
    known = {sandbox.id for sandbox in sandboxes.state.sandboxes()}
    for sandbox_id in sandboxes.folders.sandbox_ids() - known:
        log.warning("deleting the files of %s, which nobody knows", sandbox_id)
        try:
            await sandboxes.erase_files(_stand_in(sandbox_id))
        except (ContinueExecError, OSError) as error:
            log.warning("%s: %s", sandbox_id, error)


def _stand_in(sandbox_id: str) -> Sandbox:
    """Enough of a sandbox to delete its files by."""
    now = time.time()
    return Sandbox(
        id=sandbox_id,
        workspace=Workspace(id="", path="/nowhere"),
        template="",
        driver="",
        isolation="",
        state=SandboxState.STOPPED,
        created_at=now,
        used_at=now,
    )
