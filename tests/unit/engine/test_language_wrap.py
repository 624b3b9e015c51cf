"""What runs is tested in test_languages.py; here, that whole programs stay as they are and lines keep their numbers."""

from __future__ import annotations

import pytest

from continue_exec.engine import language_wrap as wrap

WHOLE = {
    wrap.go: 'package main\nimport "fmt"\nfunc main() { fmt.Println(1) }\n',
    wrap.rust: "use std::io;\npub fn main() { }\n",
    wrap.c: "#include <stdio.h>\nint main(void) { return 0; }\n",
    wrap.cpp: "#include <iostream>\nint main() { return 0; }\n",
    wrap.java: "class A { public static void main(String[] a) { } }\n",
    wrap.php: "<html><?php echo 1 ?></html>",
    wrap.zig: "pub fn main() void {}\n",
    wrap.kotlin: "fun main() { }\n",
}


@pytest.mark.parametrize("function", WHOLE, ids=lambda function: function.__name__)
def test_a_whole_program_is_left_alone(function) -> None:  # type: ignore[no-untyped-def]
    assert function(WHOLE[function]) == WHOLE[function]


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (wrap.go, 'import (\n\t"fmt"\n\t"os"\n)\n\nfmt.Println(os.Args)\nMARK()'),
        (wrap.rust, "#![allow(dead_code)]\n// words\nlet x = 1;\nMARK();"),
        (wrap.java, "import java.util.*;\nimport static java.lang.Math.max;\n\nMARK();"),
        (wrap.kotlin, "import kotlin.math.max\n\nMARK()"),
        (wrap.zig, "const x = 1;\nMARK();"),
        (wrap.php, "$x = 1;\nMARK();"),
    ],
)
def test_lines_keep_their_numbers(function, code: str) -> None:  # type: ignore[no-untyped-def]
    def line(text: str) -> int:
        return text[: text.index("MARK")].count("\n")

    assert line(function(code)) == line(code)
    assert "import" not in function(code).rpartition("main")[2]


def test_only_functions() -> None:
    assert wrap.go('import "fmt"\nfunc main() { fmt.Println(1) }').startswith("package main; import")
    assert "class Main { static void main" in wrap.java("static void main(String[] a) { }")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import fs from 'fs'", "main.mjs"),
        ("import {a} from 'b'", "main.mjs"),
        ("const x = await fetch('y')", "main.mjs"),
        ("export const a = 1", "main.mjs"),
        ("const a = require('b'); import('c')", "main.cjs"),
        ("important()", "main.cjs"),
    ],
)
def test_module_or_script(code: str, name: str) -> None:
    assert wrap.javascript_name(code) == name


def test_java_names() -> None:
    assert wrap.java_name("class A {}\npublic final class B {}") == "B.java"
    assert wrap.java_name("record P(int x) {}") == "P.java"
    assert wrap.java_name("int x = 1;") == "Main.java"
