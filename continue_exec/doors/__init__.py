"""Doors translate, never decide.

http    the engine's own socket: the method table over HTTP/1.1, events as NDJSON or frames
cli/    continue-exec, a client of that socket
lsp/    continue-exec lsp, the editor sidecar, a client of that socket
"""
