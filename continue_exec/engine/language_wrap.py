"""From bare statements to a whole program. Every line keeps its number, so that messages point to the right one.

Each function gets a snippet's text and returns what is written to the file; a whole program is returned as it is.
"""

from __future__ import annotations

import re

_CODE = re.MULTILINE


def python(code: str) -> str:
    """Selections come indented; `plan` has dedented them."""
    return code


def go(code: str) -> str:
    """Adds `package main` and, around statements, `func main`."""
    if re.search(r"^package\s", code, _CODE):
        return code
    if re.search(r"^func\s+main\s*\(", code, _CODE):
        return f"package main; {code}"
    head, body = _split(code, re.compile(r'\s*(?:import\s*(?:\((?:[^)]*)\)|[\w.]*\s*"[^"]*")|//[^\n]*)?[ \t]*(?:\n|$)'))
    return f"package main; {head}func main() {{ {body}\n}}\n"


def rust(code: str) -> str:
    """Puts statements into `fn main`; `use` may stand in a function, crate attributes may not."""
    if re.search(r"^\s*(?:pub\s+)?(?:async\s+)?fn\s+main\s*\(", code, _CODE):
        return code
    head, body = _split(code, re.compile(r"\s*(?:#!\[[^\n]*|//[^\n]*)?[ \t]*(?:\n|$)"))
    return f"{head}fn main() {{ {body}\n}}\n"


def c(code: str) -> str:
    """Puts statements into `main`, below the usual headers."""
    return _c_like(code, ("stdio.h", "stdlib.h", "string.h", "math.h", "stdint.h", "stdbool.h"), "")


def cpp(code: str) -> str:
    """The same for C++."""
    headers = ("iostream", "string", "vector", "map", "algorithm", "memory", "cmath", "cstdio")
    return _c_like(code, headers, "using namespace std;\n")


def _c_like(code: str, headers: tuple[str, ...], using: str) -> str:
    if re.search(r"\bmain\s*\(", code):
        return code
    head, body = _split(code, re.compile(r"\s*(?:#[^\n]*|//[^\n]*|using\s[^\n;]*;)?[ \t]*(?:\n|$)"))
    includes = "".join(f"#include <{header}>\n" for header in headers)
    return f"{includes}{using}#line 1\n{head}int main(void) {{ {body}\nreturn 0; }}\n"


_JAVA_TYPE = re.compile(
    r"^\s*(?:(?:public|final|abstract|sealed|strictfp)\s+)*(?:class|interface|enum|record)\s+(\w+)", _CODE
)
_JAVA_PUBLIC = re.compile(
    r"^\s*public\s+(?:(?:final|abstract|sealed)\s+)*(?:class|interface|enum|record)\s+(\w+)", _CODE
)


def java(code: str) -> str:
    """Puts statements into a class with `main`; methods (`static …`) into a class."""
    if _JAVA_TYPE.search(code) and re.search(r"\bvoid\s+main\s*\(", code):
        return code
    head, body = _split(code, re.compile(r"\s*(?:(?:import|package)\s[^\n;]*;|//[^\n]*)?[ \t]*(?:\n|$)"))
    if re.search(r"\bvoid\s+main\s*\(", code):
        return f"{head}public class Main {{ {body}\n}}\n"
    return f"{head}public class Main {{ public static void main(String[] args) throws Exception {{ {body}\n}} }}\n"


def java_name(code: str) -> str:
    """The file of a public class is called after it."""
    match = _JAVA_PUBLIC.search(code) or _JAVA_TYPE.search(code)
    return f"{match[1] if match else 'Main'}.java"


def php(code: str) -> str:
    """Adds the opening tag."""
    return code if "<?" in code else f"<?php {code}"


def zig(code: str) -> str:
    """Puts statements into `main`."""
    if re.search(r"\bfn\s+main\s*\(", code):
        return code
    std = "" if '@import("std")' in code else 'const std = @import("std"); '
    return f"{std}pub fn main() !void {{ {code}\n}}\n"


def kotlin(code: str) -> str:
    """Puts statements into `main`."""
    if re.search(r"\bfun\s+main\s*\(", code):
        return code
    head, body = _split(code, re.compile(r"\s*(?:(?:import|package)\s[^\n]*|//[^\n]*)?[ \t]*(?:\n|$)"))
    return f"{head}fun main() {{ {body}\n}}\n"


_MODULE = re.compile(r"^(?:import(?:\s+\w|\s*[{*\"'])|export\s|(?:(?:const|let|var)\s.*=\s*)?await\s)", _CODE)


def javascript_name(code: str) -> str:
    """Node decides by the name whether `import` and top-level `await` are known, or `require`."""
    return "main.mjs" if _MODULE.search(code) else "main.cjs"


def typescript_name(code: str) -> str:
    """The same for TypeScript."""
    return "main.mts" if _MODULE.search(code) else "main.ts"


def _split(code: str, line: re.Pattern[str]) -> tuple[str, str]:
    """The leading lines that match `line`, and the rest."""
    end = 0
    while end < len(code) and (match := line.match(code, end)) is not None and match.end() > end:
        end = match.end()
    return code[:end], code[end:]
