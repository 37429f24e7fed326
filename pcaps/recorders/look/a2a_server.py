"""An agent on the A2A SDK: JSON-RPC 1.0 and 0.3 on one endpoint."""

import argparse

import uvicorn
from a2a.helpers.proto_helpers import new_text_message, new_task_from_user_message, new_text_part
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.request_handlers.default_request_handler import LegacyRequestHandler
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette


class Echo(AgentExecutor):
    async def execute(self, context, event_queue):
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        await updater.add_artifact([new_text_part("tools/list is not spoken here")], name="answer")
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--port", type=int, default=9999)
    args = p.parse_args()
    url = "http://10.20.0.80:%d/a2a" % args.port
    card = AgentCard(
        name="echo", description="Echoes", version="1.0.0", default_input_modes=["text"],
        default_output_modes=["text"], capabilities=AgentCapabilities(streaming=True),
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=v)
                              for v in ("1.0", "0.3")],
        skills=[AgentSkill(id="echo", name="echo", description="Echoes", tags=["echo"])])
    handler = LegacyRequestHandler(agent_executor=Echo(), task_store=InMemoryTaskStore(), agent_card=card)
    app = Starlette(routes=create_jsonrpc_routes(handler, "/a2a", enable_v0_3_compat=True)
                    + create_agent_card_routes(card))
    uvicorn.run(app, host="0.0.0.0", port=args.port, log_level="warning", timeout_graceful_shutdown=1)


main()
