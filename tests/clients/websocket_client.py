"""Debian's python3-websockets against a server that says again what it hears: websocket_client.py URL."""
import asyncio
import sys

import websockets


async def main(url):
    async with websockets.connect(url, subprotocols=["echo.v1"]) as socket:
        assert socket.subprotocol == "echo.v1", socket.subprotocol
        assert socket.extensions == [], "compression was offered, and is not taken"
        for text in ["", "plain", "€uro 🚚", "x" * 65_536]:
            await socket.send(text)
            assert await socket.recv() == text
        await socket.send(["one ", "two ", "three"])  # fragments
        assert await socket.recv() == "one two three"
        await socket.send(b"\xff" * 200)
        assert await socket.recv() == "binary 200"
        for _ in range(5):
            await (await socket.ping())

    socket = await websockets.connect(url, subprotocols=["echo.v1"])
    await socket.send("close 1012 restarts")
    try:
        await socket.recv()
    except websockets.ConnectionClosed as closed:
        assert (closed.code, closed.reason) == (1012, "restarts"), closed

    socket = await websockets.connect(url, subprotocols=["echo.v1"])
    await socket.send("x" * 100_001)
    try:
        await socket.recv()
    except websockets.ConnectionClosed as closed:
        assert closed.code == 1009, closed
    print("done")


asyncio.run(main(sys.argv[1]))
