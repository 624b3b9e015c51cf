"""Which language an untagged snippet is in: a `#!` line, else the first language that has two signs of its own.

One sign is enough where it can hardly be anything else. It is a guess: whoever knows the language says it.
"""

from __future__ import annotations

import json
import re

# (language, certain signs: one is enough; weak signs: two different ones are needed)
_SIGNS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("php", (r"^\s*<\?php\b",), (r"^\s*\$\w+\s*=.*;\s*$", r"\becho\s+[\"'$].*;\s*$")),
    ("go", (r"^package\s+\w+\s*$", r"\bfmt\.Print(?:ln|f)?\("), (r":=", r"^func\s+\w*\(", r"^import\s+\(?$")),
    ("rust", (r"\bfn\s+main\s*\(\)", r"\bprintln!\s*\(", r"\blet\s+mut\s"), (r"^use\s+\w+::", r"->\s*\w+\s*\{")),
    (
        "cpp",
        (r"^\s*#include\s*<(?:iostream|vector|string|map|memory|algorithm)>", r"\bstd::\w+"),
        (r"\bcout\s*<<", r"^\s*using\s+namespace\s"),
    ),
    ("c", (r"^\s*#include\s*[<\"]\w+(?:/\w+)*\.h[>\"]",), (r"\bint\s+main\s*\(", r"\bprintf\s*\(", r"\bsizeof\b")),
    (
        "java",
        (r"\bpublic\s+static\s+void\s+main\b", r"\bSystem\.out\.print"),
        (r"^import\s+java", r"\bpublic\s+class\s"),
    ),
    (
        "csharp",
        (r"\bConsole\.Write(?:Line)?\(", r"^using\s+System\b.*;"),
        (r"\bnamespace\s+\w", r"\bvar\s+\w+\s*=\s*new\s"),
    ),
    ("kotlin", (r"^\s*fun\s+main\s*\(",), (r"\bval\s+\w+\s*[:=]", r"\bprintln\(", r"\bfun\s+\w+\(")),
    (
        "swift",
        (r"^import\s+(?:Foundation|SwiftUI|UIKit)\b",),
        (r"\bfunc\s+\w+\(", r"\blet\s+\w+\s*[:=]", r"\bguard\s+let\b"),
    ),
    ("elixir", (r"^\s*defmodule\s+\w", r"\bIO\.(?:puts|inspect)\b"), (r"\|>", r"\bdo\s*$")),
    (
        "haskell",
        (r"^main\s*::\s*IO\b", r"^module\s+\w+.*\bwhere\b"),
        (r"^\w+\s*::\s", r"^import\s+qualified\s", r"\bputStrLn\b"),
    ),
    (
        "typescript",
        (r"^\s*(?:export\s+)?interface\s+\w+\s*\{", r"\b(?:const|let)\s+\w+\s*:\s*(?:string|number|boolean)\b"),
        (r"\)\s*:\s*(?:string|number|boolean|void|Promise<)", r"\bas\s+(?:string|number|const|unknown)\b"),
    ),
    (
        "javascript",
        (r"\bconsole\.(?:log|error)\(", r"\brequire\(\s*['\"]", r"^import\s+.*\sfrom\s+['\"]"),
        (r"^\s*(?:const|let|var)\s+\w+\s*=", r"=>\s*[{(\w]", r"\bfunction\s*\w*\("),
    ),
    (
        "python",
        (
            r"^\s*def\s+\w+\(.*\)\s*(?:->.*)?:\s*(?:#.*)?$",
            r"^from\s+[\w.]+\s+import\s",
            r"^\s*if\s+__name__\s*==",
            r"^\s*(?:async\s+)?with\s+.*:\s*$",
        ),
        (
            r"^import\s+[\w.]+(?:\s+as\s+\w+)?\s*$",
            r"\bprint\(",
            r"^\s*(?:for|if|while|elif|try|class)\b.*:\s*$",
            r"\bself\.",
        ),
    ),
    ("ruby", (r"^\s*require\s+['\"]", r"\bdo\s*\|\w+\|"), (r"^\s*def\s+\w+", r"^\s*end\s*$", r"\bputs\s")),
    ("perl", (r"^\s*use\s+strict\b", r"\bmy\s+[$@%]\w+"), (r"\$\w+\s*=~", r"^\s*sub\s+\w+")),
    ("lua", (r"^\s*local\s+function\s",), (r"^\s*local\s+\w+\s*=", r"\bthen\s*$", r"^\s*end\s*$")),
    ("julia", (r"^using\s+[A-Z]\w+\s*$",), (r"\bprintln\(", r"^\s*end\s*$", r"^function\s")),
    ("r", (r"\blibrary\(\w+\)",), (r"<-\s", r"\bc\(", r"\bdata\.frame\(")),
    ("powershell", (r"\bWrite-(?:Host|Output)\b", r"^\s*\$PSVersionTable\b"), (r"\bGet-\w+", r"\s-eq\s")),
    (
        "sql",
        (r"^\s*(?:CREATE\s+TABLE|INSERT\s+INTO)\s", r"^\s*SELECT\s.*\bFROM\b"),
        (r"^\s*SELECT\b", r";\s*$"),
    ),
    (
        "bash",
        (
            r"^\s*(?:sudo\s+)?(?:apt(?:-get)?|pip3?|npm|npx|yarn|git|cd|ls|mkdir|curl|wget|chmod|export|source|cat|grep)\s+\S",
            r"^\s*echo\s",
            r"^\s*if\s+\[\[?\s",
            r"^\s*(?:for|while)\s.*;\s*do\s*$",
        ),
        (r"\$\(", r"\$\{?\w+\}?", r"\s\|\s", r"^\s*fi\s*$"),
    ),
)
_COMPILED = tuple(
    (
        language,
        tuple(re.compile(sign, re.MULTILINE) for sign in certain),
        tuple(re.compile(sign, re.MULTILINE) for sign in weak),
    )
    for language, certain, weak in _SIGNS
)
# Weak signs alone decide only where one language has more of them than any other.
_LOOKED_AT = 20_000


def guess(code: str) -> str | None:
    """The id of the language that `code` most likely is in; None if nothing speaks for any.

    A `#!` line is for `by_path`, which callers ask first.
    """
    text = code[:_LOOKED_AT]
    if _is_data(text):
        return None
    for language, certain, _ in _COMPILED:
        if any(sign.search(text) for sign in certain):
            return language
    scores = {language: sum(bool(sign.search(text)) for sign in weak) for language, _, weak in _COMPILED}
    best = max(scores.values())
    winners = [language for language, score in scores.items() if score == best]
    if best >= 2:
        return winners[0]
    # `print(6*7)` alone is what people try first.
    return "python" if re.fullmatch(r"\s*print\(.*\)\s*", text, re.DOTALL) else None


def _is_data(text: str) -> bool:
    """JSON looks like several languages and is none."""
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False
