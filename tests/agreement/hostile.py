"""A Byzantine node over TCP, with valid keys: a program that does something else to each other node."""

import asyncio
import json
import socket
import struct
import sys

import numpy as np

from robustcore.agreement import Setting, Vector
from robustcore.agreement.messages import LAST, Content, Echo, Init, Ready, Report
from robustcore.agreement.tcp import ALIVE, DECIDED, MARK, MESSAGE, greet


async def misbehave(reader, writer, peer, link, d, n):
    """By the number of the other node: from raw bytes to frames that are nearly right."""

    async def say(*frames):
        for frame in frames:
            link.send(frame)
        await asyncio.sleep(0.2)

    def message(said):
        return bytes([MESSAGE]) + said.encode()

    delivering = asyncio.create_task(link.deliver())
    await say(bytes([ALIVE]))
    if "silent" in sys.argv:
        await delivering
    await say(bytes([MARK]) + struct.pack("<I", 0))
    if peer % 6 == 0:  # bytes that nothing vouches for
        writer.write(b"\xff" * 1000)
    elif peer % 6 == 1:  # a frame of 4 GiB
        writer.write(struct.pack("<I", 2**32 - 1) + bytes(100_000))
    elif peer % 6 == 2:  # authentic garbage
        await say(bytes([MESSAGE]) + b"garbage")
    elif peer % 6 == 3:  # wrong shapes
        for wrong in (np.zeros(d + 1), np.zeros(0), np.full(d, np.nan), np.zeros(d, np.float32)):
            await say(message(Init(1, Content(Vector(wrong)))))
    elif peer % 6 == 4:  # much too much
        content = Content(Vector(np.full(d, 1e9)), LAST)
        for at in range(1, 50):
            for origin in range(n):
                await asyncio.sleep(0)
                link.send(message(Echo(origin, at, content)))
                link.send(message(Ready(origin, at, content.key)))
            link.send(message(Report(at, 2**n - 1, n)))
            link.send(bytes([DECIDED]))
    else:  # another vector in each round, early and late, and marks far in the future
        await say(bytes([MARK]) + struct.pack("<I", 2**32 - 1))
        for at in range(1, 10):
            await say(message(Init(at, Content(Vector(np.full(d, -1e9))))))
    await delivering


async def main():
    loop, pipe = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin.buffer)
    told = json.loads(await pipe.readuntil())
    await pipe.readexactly(told["size"])
    setting, own = Setting(**told["setting"]), told["id"]
    keys = {int(i): bytes.fromhex(key) for i, key in told["keys"].items()}
    longest = 2**30
    running = []

    async def link(reader, writer, other=None):
        peer, found = await greet(reader, writer, own, other, keys, longest, 30.0)
        running.append(asyncio.current_task())
        await misbehave(reader, writer, peer, found, setting.d, setting.n)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = await asyncio.start_server(link, sock=listener)
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
        addresses = json.loads(await pipe.readuntil())
        for other, address in enumerate(addresses[:own]):
            running.append(asyncio.create_task(link(*await asyncio.open_connection(*address), other)))
        await pipe.read()  # until whoever has started this is gone
        server.close()
    for task in running:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
