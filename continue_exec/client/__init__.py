"""The Python client of the engine: what every door uses, and what you may import.

    client    Client: calls, runs, results
    methods   one typed method per row of the method table
    stream    a run's events, resumed where they broke off
    stdin     a run's standard input, streamed
    start     starting the engine on demand
    http      HTTP/1.1 over a Unix socket

    async with Client() as client:
        result = await client.execute(["pytest", "-q"], workspace=".")
        print(result.exit_code, result.stdout.decode())

Importing this costs what asyncio costs: pydantic is loaded with the first typed result, aiohttp never.
"""

from .client import Client, ExecuteResult
from .stdin import StdinStream
from .stream import RunStream

__all__ = ["Client", "ExecuteResult", "RunStream", "StdinStream"]
