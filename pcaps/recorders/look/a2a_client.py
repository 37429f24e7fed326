"""Talks A2A 1.0 with the SDK's client, and 0.3 by hand, to look/a2a_server.py."""

import asyncio
import sys

import httpx
from a2a.client.client_factory import create_client
from a2a.helpers.proto_helpers import new_text_message
from a2a.types.a2a_pb2 import GetTaskRequest, Role, SendMessageRequest


async def modern(url):
    client = await create_client(url)
    async with client:
        task = None
        async for event in client.send_message(SendMessageRequest(message=new_text_message("hello", role=Role.ROLE_USER))):
            task = event.task.id or task
            print(str(event)[:80].replace("\n", " "))
        if task:
            await client.get_task(GetTaskRequest(id=task))


def old(url):
    with httpx.Client() as http:
        def say(i, method, params):
            r = http.post(url + "/a2a", json={"jsonrpc": "2.0", "id": i, "method": method, "params": params})
            print(method, r.status_code, r.text[:120])
            return r
        message = {"kind": "message", "role": "user", "messageId": "m-1", "parts": [{"kind": "text", "text": "hello"}]}
        task = say(1, "message/send", {"message": message}).json().get("result", {}).get("id")
        say(2, "tasks/get", {"id": task})
        say(3, "message/stream", {"message": message | {"messageId": "m-2"}})
        say(4, "tasks/cancel", {"id": task})


asyncio.run(modern(sys.argv[1]))
old(sys.argv[1])
