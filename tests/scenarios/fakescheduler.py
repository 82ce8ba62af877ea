"""A scheduler that is none: the bus's RPC door with answers that the test makes up, so that what the
command line shows can be tried in states that a real job is in for a moment only."""
import socket
import struct
import threading


class FakeScheduler:
    """answers: method -> function of the request that gives the reply, or raises Refusal."""

    def __init__(self, pb, answers):
        self.pb, self.answers, self.asked = pb, answers, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for c in self.connections:
            c.close()

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(c)
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        try:
            with c.makefile("rb") as stream:
                c.sendall(b"\0SP\0" + struct.pack(">HH", 0x31, 0))  # I am a REP
                stream.read(8)
                while length := stream.read(8):
                    message = stream.read(struct.unpack(">Q", length)[0])
                    reply = self._answer(self.pb.RpcRequest.FromString(message[4:])).SerializeToString()
                    c.sendall(struct.pack(">Q", 4 + len(reply)) + message[:4] + reply)
        except (OSError, ValueError, struct.error):
            pass

    def _answer(self, envelope):
        method = self.pb.DESCRIPTOR.services_by_name["JobService"].methods_by_name[envelope.method]
        request = method.input_type._concrete_class.FromString(envelope.payload)
        self.asked.append((envelope.method, request))
        reply = self.pb.RpcReply(schema_version=1, request_id=envelope.request_id)
        try:
            reply.payload = self.answers[envelope.method](request).SerializeToString()
        except Refusal as refusal:
            reply.code, reply.message = refusal.args
        return reply


class Refusal(Exception):
    pass
