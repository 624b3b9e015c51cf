"""continue_exec: run code that an assistant wrote in a persistent gVisor sandbox on this machine.

    errors, paths, tasks the tree of errors; where things live; background tasks
    model, config        the six nouns; one Settings model
    protocol/            the wire: frames, events, methods, the agent's messages
    drivers/             where a sandbox lives: runsc, fake
    agent/               host side of the in-sandbox agent's protocol
    mirror/              watch, ignore rules, push
    network/             egress proxy, what the host is configured for
    store/               state (sqlite), locks, run logs
    engine/              decisions: sandboxes, runs, policy, snippets
    client/              the Python client of the engine's socket; every door uses it
    doors/               cli, lsp, http: translate, never decide
    app                  composition root: wires one engine together

Imports go downwards in this list's order only; tests/repo enforces it.
This module imports nothing: the CLI's start-up time is part of what a user feels.
"""

__version__ = "0.1.0"
