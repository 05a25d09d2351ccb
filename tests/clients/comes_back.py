"""A client of Python's that is left to itself: prints a line each time that it is connected.

Arguments: the server's address, a transport, and `sync` or `async`.
"""

import asyncio
import sys

import socketio

url, transport, kind = sys.argv[1:]
settings = {"reconnection_delay": 0.2, "reconnection_delay_max": 0.5, "randomization_factor": 0}
arrival = {"auth": {"userId": "ann"}, "transports": [transport]}


def connected():
    print("connected", flush=True)


def by_threads():
    client = socketio.Client(**settings)
    client.on("connect", connected)
    client.connect(url, **arrival)
    client.wait()


async def by_tasks():
    client = socketio.AsyncClient(**settings)

    async def on_connect():
        connected()

    client.on("connect", on_connect)
    await client.connect(url, **arrival)
    await client.wait()


if kind == "sync":
    by_threads()
else:
    asyncio.run(by_tasks())
