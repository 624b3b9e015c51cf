"""The wire, in one place.

    versions    protocol numbers and capabilities of both wires
    frames      the binary frame: header, kinds, incremental parser (standard library only)
    agent       host ↔ agent messages (docs/reference/agent-protocol.md)
    events      what a run tells whoever follows it
    methods     engine ↔ door: the method table, parameters and results
    generate    writes the Go and TypeScript types from these models

Nothing is imported here: `frames` and `versions` are on the CLI's start-up path, pydantic is not.
"""
