"""A cheap model provider on loopback: it sends fixed answers in OpenAI's wire format.

The last message of a request sets the number of chunks and the delay after each: ``chunks=50 delay_ms=100``.
"""

import asyncio
import json
import re
import sys

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
WANTED = re.compile(rb"chunks=(\d+) delay_ms=(\d+)")


def event(delta: dict, finish_reason: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    data = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "system_fingerprint": "fp",
        "choices": [choice],
        "usage": None,
        **more,
    }
    body = b"data: " + json.dumps(data).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(body), body)


FIRST = event({"role": "assistant", "content": ""})
TOKEN = event({"content": "word "})
LAST = event({}, "stop") + event({}, choices=[], usage=USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def whole(chunks: int) -> bytes:
    message = {"role": "assistant", "content": "word " * chunks, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [choice],
        "usage": USAGE,
    }
    body = json.dumps(answer).encode()
    return HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
            body = await reader.readexactly(length)
            wanted = WANTED.search(body)
            chunks, delay_s = (int(wanted[1]), int(wanted[2]) / 1000) if wanted else (20, 0.0)
            if b'"stream":true' not in body.replace(b" ", b""):
                writer.write(whole(chunks))
                continue
            writer.write(
                HEAD % b"text/event-stream; charset=utf-8" + b"Transfer-Encoding: chunked\r\n\r\n" + FIRST
            )
            if delay_s:
                for _ in range(chunks):
                    writer.write(TOKEN)
                    await asyncio.sleep(delay_s)
            else:
                # One write for each token, as tokens arrive over a network.
                for _ in range(chunks):
                    writer.write(TOKEN)
                    await asyncio.sleep(0)
            writer.write(LAST)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=2048, limit=2**20)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
