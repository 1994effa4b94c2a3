"""A real HTTP server on loopback that speaks chat/completions as the test tells it to."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

Answer = Callable[[dict[str, Any], int], Response]


def completion(words: str, *, logprobs: dict[str, float] | None = None, usage: tuple[int, int] | None = (100, 1)):
    """A chat completion; ``logprobs`` maps a token to its probability."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": words}}
    if logprobs is not None:
        top = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    body: dict[str, Any] = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return JSONResponse(body)


def failure(status: int, message: str = "no", **headers: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status, {k.replace("_", "-"): v for k, v in headers.items()})


class ChatServer:
    """``answer`` gets the request's body and its number (from 0); requests are recorded as they arrive."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str] = []
        self.most_at_once = 0
        self.url = ""
        self._at_once = 0
        self._lock = threading.Lock()

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Response:
            body = await request.json()
            return await run_in_threadpool(self._handle, body, request.headers.get("authorization", ""))

        return app

    def _handle(self, body: dict[str, Any], key: str) -> Response:
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.times.append(time.monotonic())
            self.keys.append(key)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return self.answer(body, number)
        finally:
            with self._lock:
                self._at_once -= 1


@contextmanager
def serving(answer: Answer) -> Iterator[ChatServer]:
    chat = ChatServer(answer)
    server = uvicorn.Server(uvicorn.Config(chat.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    chat.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield chat
    finally:
        server.should_exit = True
        thread.join(10)
