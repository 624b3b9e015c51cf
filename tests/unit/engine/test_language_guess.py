from __future__ import annotations

import pytest

from continue_exec.engine.language_guess import guess
from continue_exec.engine.languages import by_name

SAMPLES = {
    "python": [
        "print('hi')",
        "import os\nfor name in os.listdir('.'):\n    print(name)",
        "def f(x: int) -> int:\n    return x\n",
        "from a.b import c\nc()",
    ],
    "javascript": ["console.log(1)", "const a = [1].map(x => x + 1);\nfunction f() {}", "const fs = require('fs')"],
    "typescript": ["interface A {\n  b: string\n}\nconsole.log(1)", "const n: number = 1"],
    "bash": ["echo hi", "cd /tmp && ls", "pip install requests", 'for f in *; do\n  wc "$f"\ndone', "npm test"],
    "go": ['package main\n\nimport "fmt"\n\nfunc main() { fmt.Println(1) }', 'fmt.Println("x")'],
    "rust": ['fn main() {\n  println!("x");\n}', "let mut v = vec![1];\nuse std::io;\n"],
    "c": ['#include <stdio.h>\nint main(void) { printf("x"); }'],
    "cpp": ["#include <iostream>\nint main() { std::cout << 1; }"],
    "java": ["public class A { public static void main(String[] a) { } }"],
    "ruby": ["require 'json'\nputs 1", "[1].each do |x|\n  puts x\nend", "def f\n  1\nend"],
    "perl": ["use strict;\nmy $x = 1;"],
    "php": ["<?php echo 1;"],
    "sql": ["SELECT a FROM b;", "CREATE TABLE t (a)"],
    "csharp": ['Console.WriteLine("x");'],
    "elixir": ['IO.puts "x"'],
    "haskell": ["main :: IO ()\nmain = print 1"],
    "r": ["x <- c(1, 2)"],
    "kotlin": ["fun main() {\n  println(1)\n}"],
}


@pytest.mark.parametrize(("language", "code"), [(name, code) for name, codes in SAMPLES.items() for code in codes])
def test_guess(language: str, code: str) -> None:
    assert guess(code) == language
    assert by_name(language).id == language


@pytest.mark.parametrize("code", ["", "hello world", '{"a": 1}', "[1, 2]", "\x00\x01", "Lorem ipsum, dolor sit amet."])
def test_nothing_speaks_for_any(code: str) -> None:
    assert guess(code) is None


def test_huge_input_is_quick() -> None:
    assert guess("x" * 5_000_000) is None
    assert guess("(" * 100_000) is None
