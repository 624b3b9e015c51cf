"""The engine's table of languages, as an editor's names for them."""

from __future__ import annotations

import os
from typing import Any

LSP_IDS = {
    "shellscript": "bash",
    "sh": "bash",
    "javascriptreact": "javascript",
    "typescriptreact": "typescript",
    "c++": "cpp",
}
"""LSP's language identifiers that the table has neither as id nor as alias, and what they are there."""


class Languages:
    """Looks languages up. Built from `language.list`'s answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._names: dict[str, str] = {}
        self._extensions: dict[str, str] = {}
        for language in answer.get("languages", ()):
            for name in (language["id"], *language["aliases"]):
                self._names.setdefault(name.lower(), language["id"])
            for extension in language["extensions"]:
                self._extensions.setdefault("." + extension.lower().lstrip("."), language["id"])

    def named(self, name: str) -> str | None:
        """The id of a language by its id, an alias, or LSP's name for it."""
        name = name.lower()
        return self._names.get(name) or self._names.get(LSP_IDS.get(name, ""))

    def of_file(self, path: str, language_id: str = "") -> str | None:
        """The id of a file's language: by its extension, else by what the editor calls it."""
        return self._extensions.get(os.path.splitext(path)[1].lower()) or self.named(language_id)
