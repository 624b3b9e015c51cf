"""The table of languages. The recipe for adding one stands on `LanguageSpec`'s module, language_types.py."""

from __future__ import annotations

from . import language_wrap as wrap
from .language_types import LanguageSpec, Way


def _apt(package: str) -> str:
    return f"On Debian and Ubuntu: `sudo apt-get install {package}`."


def _script(*programs: str, args: tuple[str, ...] = ()) -> tuple[Way, ...]:
    """Interpreters that take a file."""
    return tuple(Way((program,), ("{program0}", *args, "{file}")) for program in programs)


def _compiled(*programs: str, flags: tuple[str, ...] = (), libraries: tuple[str, ...] = ()) -> tuple[Way, ...]:
    """Compilers that make one executable."""
    build = ("{program0}", *flags, "-o", "{out}", "{file}", *libraries)
    return tuple(Way((program,), ("{out}",), build) for program in programs)


_JAVA_RUN = ("{program0}", "-cp", "{folder}", "{stem}")

LANGUAGES: tuple[LanguageSpec, ...] = (
    LanguageSpec(
        "python",
        "Python",
        (".py", ".pyw"),
        _script("python3", "python", "pypy3", args=("-u",)),
        _apt("python3"),
        aliases=("py", "python3"),
        interpreters=("pypy", "pypy3"),
        wrap=wrap.python,
        env={"PYTHONPATH": "{cwd}"},
    ),
    LanguageSpec(
        "javascript",
        "JavaScript",
        (".js", ".mjs", ".cjs"),
        (*_script("node", "nodejs"), *_script("deno", args=("run", "--allow-all")), *_script("bun", args=("run",))),
        _apt("nodejs"),
        aliases=("js", "node", "nodejs", "mjs", "cjs"),
        interpreters=("node", "nodejs", "bun"),
        name=wrap.javascript_name,
        env={"NODE_PATH": "{cwd}/node_modules"},
    ),
    LanguageSpec(
        "typescript",
        "TypeScript",
        (".ts", ".mts", ".cts"),
        (
            # Node strips types by itself since 22.6 (Node.js documentation, "Modules: TypeScript").
            Way(
                ("node",),
                ("{program0}", "--experimental-strip-types", "--disable-warning=ExperimentalWarning", "{file}"),
                minimum=(22, 6),
            ),
            *_script("tsx"),
            *_script("ts-node", args=("--transpile-only",)),
            *_script("deno", args=("run", "--allow-all")),
            *_script("bun", args=("run",)),
        ),
        "Install Node 22.6 or later, or `npm install -g tsx`.",
        aliases=("ts", "mts", "cts"),
        interpreters=("tsx", "ts-node", "deno"),
        name=wrap.typescript_name,
        env={"NODE_PATH": "{cwd}/node_modules"},
    ),
    LanguageSpec(
        "bash",
        "Bash",
        (".sh", ".bash"),
        _script("bash"),
        _apt("bash"),
        aliases=("shellscript", "shell", "shell-script", "console", "terminal"),
    ),
    LanguageSpec("sh", "POSIX shell", (".ksh",), _script("sh"), _apt("dash"), interpreters=("dash", "ash", "ksh")),
    LanguageSpec("zsh", "Zsh", (".zsh",), _script("zsh"), _apt("zsh")),
    LanguageSpec("fish", "fish", (".fish",), _script("fish"), _apt("fish")),
    LanguageSpec(
        "go", "Go", (".go",), _script("go", args=("run",)), _apt("golang-go"), aliases=("golang",), wrap=wrap.go
    ),
    LanguageSpec(
        "rust",
        "Rust",
        (".rs",),
        _compiled("rustc", flags=("--edition", "2021", "--crate-name", "snippet")),
        f"{_apt('rustc')} Or use rustup.",
        aliases=("rs",),
        wrap=wrap.rust,
    ),
    LanguageSpec(
        "c",
        "C",
        (".c",),
        _compiled("cc", "gcc", "clang", "tcc", flags=("-I{cwd}",), libraries=("-lm",)),
        _apt("gcc libc6-dev"),
        wrap=wrap.c,
    ),
    LanguageSpec(
        "cpp",
        "C++",
        (".cpp", ".cc", ".cxx", ".c++", ".C"),
        _compiled("c++", "g++", "clang++", flags=("-I{cwd}",)),
        _apt("g++"),
        aliases=("c++", "cxx", "cc"),
        wrap=wrap.cpp,
    ),
    LanguageSpec(
        "java",
        "Java",
        (".java",),
        (
            # Runs a source file directly since 11 (JEP 330); needs the compiler that only a JDK has.
            Way(("java", "javac"), minimum=(11,)),
            Way(("java", "javac"), _JAVA_RUN, ("{program1}", "-d", "{folder}", "{file}")),
        ),
        _apt("default-jdk-headless"),
        wrap=wrap.java,
        name=wrap.java_name,
    ),
    LanguageSpec(
        "ruby",
        "Ruby",
        (".rb",),
        _script("ruby"),
        _apt("ruby"),
        aliases=("rb",),
        interpreters=("jruby",),
        env={"RUBYLIB": "{cwd}/lib"},
    ),
    LanguageSpec("perl", "Perl", (".pl", ".pm", ".t"), _script("perl"), _apt("perl"), aliases=("pl",)),
    LanguageSpec("raku", "Raku", (".raku", ".p6"), _script("raku"), _apt("raku"), aliases=("perl6",)),
    LanguageSpec("php", "PHP", (".php",), _script("php"), _apt("php-cli"), wrap=wrap.php),
    LanguageSpec("lua", "Lua", (".lua",), _script("lua", "lua5.4", "lua5.3", "luajit"), _apt("lua5.4")),
    LanguageSpec(
        "r", "R", (".r", ".R"), _script("Rscript", args=("--vanilla",)), _apt("r-base-core"), interpreters=("Rscript",)
    ),
    LanguageSpec("julia", "Julia", (".jl",), _script("julia"), "Install it with juliaup.", aliases=("jl",)),
    LanguageSpec("swift", "Swift", (".swift",), _script("swift"), "Install it with swiftly."),
    LanguageSpec(
        "kotlin",
        "Kotlin",
        (".kt", ".kts"),
        (
            Way(
                ("kotlinc", "java"),
                ("{program1}", "-jar", "{out}.jar"),
                ("{program0}", "-nowarn", "{file}", "-include-runtime", "-d", "{out}.jar"),
            ),
        ),
        "Install it with SDKMAN.",
        aliases=("kt", "kts"),
        wrap=wrap.kotlin,
    ),
    LanguageSpec(
        "scala", "Scala", (".scala", ".sc"), (*_script("scala-cli", args=("run",)), *_script("scala")), _apt("scala")
    ),
    LanguageSpec("groovy", "Groovy", (".groovy",), _script("groovy"), _apt("groovy")),
    LanguageSpec(
        "clojure",
        "Clojure",
        (".clj", ".cljs"),
        (*_script("clojure", "clj", args=("-M",)), *_script("bb")),
        _apt("clojure"),
        aliases=("clj",),
        interpreters=("bb",),
    ),
    LanguageSpec(
        "csharp",
        "C#",
        (".cs", ".csx"),
        (
            # A single file runs without a project since .NET 10.
            Way(("dotnet",), ("{program0}", "run", "{file}"), minimum=(10,)),
            *_script("dotnet-script"),
            Way(("mcs", "mono"), ("{program1}", "{out}"), ("{program0}", "-out:{out}", "{file}")),
        ),
        "Install .NET 10 or later, or Mono.",
        aliases=("cs", "c#"),
    ),
    LanguageSpec(
        "fsharp", "F#", (".fsx", ".fs"), _script("dotnet", args=("fsi",)), "Install .NET.", aliases=("fs", "f#")
    ),
    LanguageSpec("haskell", "Haskell", (".hs",), _script("runghc", "runhaskell"), _apt("ghc"), aliases=("hs",)),
    LanguageSpec("elixir", "Elixir", (".exs", ".ex"), _script("elixir"), _apt("elixir"), aliases=("ex", "exs")),
    LanguageSpec("erlang", "Erlang", (".erl", ".escript"), _script("escript"), _apt("erlang-base"), aliases=("erl",)),
    LanguageSpec("dart", "Dart", (".dart",), _script("dart", args=("run",)), "Install the Dart SDK."),
    LanguageSpec(
        "powershell",
        "PowerShell",
        (".ps1",),
        _script("pwsh", args=("-NoProfile", "-NonInteractive", "-File")),
        "Install PowerShell 7.",
        aliases=("ps1", "pwsh", "ps"),
    ),
    LanguageSpec(
        "sql",
        "SQL (SQLite, in memory)",
        (".sql",),
        (Way(("sqlite3",), ("{program0}", "-batch", "-bail", ":memory:"), stdin=True),),
        _apt("sqlite3"),
        aliases=("sqlite", "sqlite3"),
    ),
    LanguageSpec(
        "awk",
        "AWK",
        (".awk",),
        _script("awk", "gawk", "mawk", args=("-f",)),
        _apt("gawk"),
        interpreters=("gawk", "mawk"),
    ),
    LanguageSpec(
        "make",
        "Make",
        (".mk",),
        _script("make", "gmake", args=("-f",)),
        _apt("make"),
        aliases=("makefile",),
        filenames=("Makefile", "makefile", "GNUmakefile"),
    ),
    LanguageSpec(
        "nim",
        "Nim",
        (".nim",),
        (Way(("nim",), ("{program0}", "r", "--hints:off", "--nimcache:{folder}/cache", "{file}")),),
        _apt("nim"),
    ),
    LanguageSpec("zig", "Zig", (".zig",), _script("zig", args=("run",)), "Install it from ziglang.", wrap=wrap.zig),
    LanguageSpec("ocaml", "OCaml", (".ml",), _script("ocaml"), _apt("ocaml"), aliases=("ml",)),
    LanguageSpec("d", "D", (".d",), (*_script("rdmd"), *_script("dmd", "ldc2", args=("-run",))), _apt("ldc")),
    LanguageSpec("crystal", "Crystal", (".cr",), _script("crystal", args=("run",)), _apt("crystal")),
    LanguageSpec("fortran", "Fortran", (".f90", ".f95", ".f03"), _compiled("gfortran"), _apt("gfortran")),
    LanguageSpec("tcl", "Tcl", (".tcl",), _script("tclsh"), _apt("tcl"), interpreters=("tclsh",)),
    LanguageSpec("octave", "Octave", (".m",), _script("octave-cli", "octave"), _apt("octave"), aliases=("matlab",)),
)
