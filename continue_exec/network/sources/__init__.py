"""What each package manager of the host is configured for: one module per tool, one function `read` in each.

To add one: a module here with `read(host) -> Found`, its name in READERS (continue_exec/network/hosts.py), a test
in tests/unit/network/sources/. No registry's name stands in these files: what is not configured is asked of the tool.

base   Found, and what the modules share
pip    index, extra indexes, links; pip's own defaults; where an index keeps its files
uv     the same for uv
npm    registry and those of scopes; also yarn
cargo  the default registry, replacements, further registries
go     module proxies and the checksum database
apt    package sources
git    rewritten addresses; the remotes of a workspace
"""
