"""The way out of a sandbox: what may be reached, what of the host's configuration says so, the proxy that holds to it.

names       one spelling for each host; what kind of place an address is
policy      rules by name and port, verdicts in words
host        how the host is asked: files, variables, tools, indexes;  hosts: all of it put together, and watched
sources/    one module per package manager
carry       what goes inside of it
proxy       one sandbox's proxy: accept, judge, carry, report
http1       request heads, read strictly;  body: as long as announced;  replies: refusals in words
dial        straight to a checked address, or through the host's own proxy (upstream)
resolve     lookup, check, connect by address
relay       bytes between two sockets
"""
