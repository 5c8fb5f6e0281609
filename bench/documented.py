"""A FastAGI server as in panoramisk's documentation, with one SISMEMBER, for `bench.gate` to compare with.

It allows every number that is not listed, and records nothing. Usage: `python -m bench.documented PORT REDIS_URL`.
"""

import asyncio
import sys

import redis.asyncio
from panoramisk import fast_agi


async def serve(port: int, redis_url: str) -> None:
    store = redis.asyncio.Redis.from_url(redis_url)

    async def screen(request: fast_agi.Request) -> None:
        number, channel = request.headers["agi_arg_1"], request.headers["agi_uniqueid"]
        listed = await store.sismember(f"dnc:1:internal:{{{number[1:-4]}}}", str(int(number[-4:])))
        verdict = "BLOCK" if listed else f"ALLOW-{channel}"
        await request.send_command(f'EXEC MSet "DNC_NUMBER={number},DNC_VERDICT={verdict}"')

    application = fast_agi.Application(loop=asyncio.get_running_loop())
    application.add_route("screen", screen)
    server = await asyncio.start_server(application.handler, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
