"""Answers with what h11 parsed, as `src/hostile/parsed.rs` reads it: hexadecimal parts with dots between."""

import asyncio
import sys
from urllib.parse import unquote_to_bytes, urlsplit

import h11

MAX_HEAD_BYTES = 256 * 1024


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.nth = 0
        self.request = None
        self.body = []

    def data_received(self, data):
        self.connection.receive_data(data)
        self.events()

    def eof_received(self):
        self.connection.receive_data(b"")
        self.events()

    def events(self):
        try:
            while True:
                event = self.connection.next_event()
                if event is h11.PAUSED or event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    return
                if isinstance(event, h11.Request):
                    self.request, self.body = event, []
                elif isinstance(event, h11.Data):
                    self.body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self.answer()
        except h11.RemoteProtocolError as error:
            self.refuse(error)

    def answer(self):
        self.nth += 1
        request = self.request
        path = unquote_to_bytes(urlsplit(request.target.decode("ascii")).path)
        parts = [str(self.nth)] + [part.hex() for part in (request.method, request.target, path, b"".join(self.body))]
        parts += [f"{name.hex()}={value.hex()}" for name, value in request.headers.raw_items()]
        self.send(200, [("X-Parsed", ".".join(parts))], b"{}\n")
        if self.connection.our_state is h11.MUST_CLOSE:
            self.transport.close()
        else:
            self.connection.start_next_cycle()

    def refuse(self, error):
        if self.connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.send(error.error_status_hint, [], b"{}\n")
        self.transport.close()

    def send(self, status, fields, body):
        fields = fields + [("Content-Length", str(len(body)))]
        event = h11.Response(status_code=status, headers=fields)
        out = self.connection.send(event)
        if self.request is None or self.request.method != b"HEAD":
            out += self.connection.send(h11.Data(data=body))
        out += self.connection.send(h11.EndOfMessage())
        self.transport.write(out)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    # It ends with the task that started it.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
