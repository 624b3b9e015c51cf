"""Host side of the agent's protocol (docs/reference/agent-protocol.md). Everything the agent sends is untrusted.

connection   AgentConnection: the methods the engine calls
dial         listen, ring the doorbell, accept the one connection that knows the token
channel      frames on one socket: parsed in place, written with back-pressure
control      JSON of requests, responses and notifications; bounds on what comes in
streams      credit and order: runs (`Sink`), byte streams, what is sent to the sandbox
push         records of a push, made off the event loop
watch        changed paths, bounded
"""
