"""TCP proxies that stand in front of PostgreSQL and of every listener of the bus,
and do to what passes what networks do: lose, double, delay, reorder, cut.

One event loop in a thread of its own carries all of them. A door (one listening
port) has plain attributes that the faults set from other threads; they are looked
at for each chunk or message, so that no fault needs to be told to connections.

What it does not do: lose single packets. TCP mends that; what a program sees of it
is a delay or a cut, and both are here.
"""
import asyncio
import os
import random
import signal
import struct
import threading
from collections import Counter, deque

READY = b"Z\x00\x00\x00\x05I" # ReadyForQuery outside a transaction: what was asked is committed
SYNC = b"S\x00\x00\x00\x04"   # ends what a client asks
CHUNK = 1 << 16
MAX_FRAME = 1 << 20           # the bus takes no larger message
MAX_HELD = 500                # messages delayed at once; more are lost, as in a full queue


class Loop:
    """The event loop's thread, and the doors on it."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: None) # connections end in every way here
        self.thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self.thread.start()

    def open(self, door):
        async def listen():
            door.server = await asyncio.start_server(door.serve, "127.0.0.1", door.port, limit=CHUNK, backlog=256)
        asyncio.run_coroutine_threadsafe(listen(), self.loop).result(10)
        door.loop = self.loop
        return door

    def close(self):
        async def end():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        try:
            asyncio.run_coroutine_threadsafe(end(), self.loop).result(5)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(5)


class Door:
    """One listening port in front of one other. Blackholed, it takes connections and
    bytes and passes nothing on, as a network that is cut in two."""

    def __init__(self, name, port, to_port):
        self.name, self.port, self.to_port = name, port, to_port
        self.blackhole = False
        self.counts = Counter()
        self.connections = set()
        self.loop = self.server = None

    async def serve(self, reader, writer):
        link = Link(reader, writer)
        self.connections.add(link)
        try:
            await self.passing()
            link.there_in, link.there_out = await asyncio.open_connection("127.0.0.1", self.to_port, limit=CHUNK)
            await self.relay(link)
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.1) # nobody there: a client that tries again at once must not spin
        finally:
            self.connections.discard(link)
            link.cut()

    async def passing(self):
        while self.blackhole:
            await asyncio.sleep(0.02)

    async def relay(self, link):
        jobs = [asyncio.ensure_future(self.up(link)), asyncio.ensure_future(self.down(link))]
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def copy(self, reader, writer):
        while data := await reader.read(CHUNK):
            await self.passing()
            writer.write(data)
            await writer.drain()

    async def up(self, link):
        await self.copy(link.here_in, link.there_out)

    async def down(self, link):
        await self.copy(link.there_in, link.here_out)

    def cut_all(self):
        """Every connection is gone at once, in both directions."""
        def cut():
            for link in list(self.connections):
                link.cut()
        self.loop.call_soon_threadsafe(cut)
        self.counts["cut"] += len(self.connections)


class Link:
    def __init__(self, reader, writer):
        self.here_in, self.here_out = reader, writer
        self.there_in = self.there_out = None
        self.lose_reply = False
        self.greeted = False # the bus's handshake is through

    def cut(self):
        for writer in (self.here_out, self.there_out):
            if writer is not None:
                writer.transport.abort()


class DatabaseDoor(Door):
    """In front of PostgreSQL, one for each process. Statements are told apart by the
    name they are prepared under. once: what is to happen to the next statement of a
    name ("" for any): (what, name, seconds, whom to kill first: a pid or None)."""

    def __init__(self, name, port, to_port):
        super().__init__(name, port, to_port)
        self.latency_s = 0.0
        self.once = deque()

    def take(self, data):
        for action in list(self.once):
            name = action[1].encode()
            if data.endswith(SYNC) and (not name or b"\0" + name + b"\0" in data):
                self.once.remove(action)
                self.counts[action[0]] += 1
                if action[3]:
                    os.kill(action[3], signal.SIGKILL) # before it can notice and ask again
                return action
        return None

    async def up(self, link):
        while data := await link.here_in.read(CHUNK):
            await self.passing()
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            action = self.take(data) if self.once else None
            if action and action[0] == "statement lost":
                return
            if action and action[0] == "statement late":
                await self.late(link, data, action[2])
                return
            if action and action[0] == "reply lost":
                link.lose_reply = True
            link.there_out.write(data)
            await link.there_out.drain()

    async def down(self, link):
        while data := await link.there_in.read(CHUNK):
            await self.passing()
            if link.lose_reply:
                if data.endswith(READY): # committed, and nobody is told
                    return
                continue
            link.here_out.write(data)
            await link.here_out.drain()

    async def late(self, link, data, seconds):
        """The client is cut off at once; the statement arrives when it has long given up."""
        here, there = link.here_out, link.there_out
        link.there_out = None # outlives the link
        here.transport.abort()
        asyncio.ensure_future(self.deliver(there, data, seconds))

    async def deliver(self, there, data, seconds):
        try:
            await asyncio.sleep(seconds)
            await self.passing()
            there.write(data)
            await there.drain()
            await asyncio.sleep(2) # it is run even when nobody waits for it
        except OSError:
            pass # PostgreSQL was restarted meanwhile
        finally:
            there.transport.abort()


class BusDoor(Door):
    """In front of a PUSH socket: knows the messages of SP over TCP (a handshake of eight
    bytes, then a length of eight bytes before each). Shares in percent, set by the faults."""

    def __init__(self, name, port, to_port, seed):
        super().__init__(name, port, to_port)
        self.dice = random.Random(f"{seed}/{name}")
        self.calm()

    def calm(self):
        self.lose = self.double = self.delay = self.reorder = self.spoil = 0
        self.delay_s = 0.0
        self.late_copies_s = 0.0

    async def down(self, link):
        link.here_out.write(await link.there_in.readexactly(8))
        link.greeted = True
        while True:
            header = await link.there_in.readexactly(8)
            size = struct.unpack(">Q", header)[0]
            if size > MAX_FRAME:
                return
            frame = header + await link.there_in.readexactly(size)
            await self.passing()
            self.counts["messages"] += 1
            for copy in self.fate(frame):
                link.here_out.write(copy)
            await link.here_out.drain()

    def hit(self, percent, what):
        if self.dice.random() * 100 >= percent:
            return False
        self.counts[what] += 1
        return True

    def fate(self, frame):
        """What of this message goes on now; the rest is kept for later, or lost."""
        if self.hit(self.lose, "lost"):
            return []
        if self.hit(self.spoil, "spoiled"):
            return [self.spoiled(frame)]
        if self.hit(self.delay, "delayed"):
            self.later(frame, self.dice.uniform(0, self.delay_s))
            return []
        if self.hit(self.reorder, "reordered"):
            self.later(frame, 0.3) # behind those that follow
            return []
        if self.hit(self.double, "doubled"):
            if self.late_copies_s:
                self.later(frame, self.dice.uniform(0, self.late_copies_s))
                return [frame]
            return [frame, frame]
        return [frame]

    def spoiled(self, frame):
        """A message that is none: cut short, or noise. Not one with a few bits turned over:
        that can be a valid one with another address, against which there is TLS."""
        body = frame[8:]
        body = body[:self.dice.randrange(len(body) + 1)] if self.dice.randrange(2) else self.dice.randbytes(len(body))
        return struct.pack(">Q", len(body)) + body

    def later(self, frame, seconds):
        """On any connection that is there then: to the same reader, or to another."""
        if self.counts["held"] >= MAX_HELD:
            return
        self.counts["held"] += 1
        asyncio.ensure_future(self.send_later(frame, seconds))

    async def send_later(self, frame, seconds):
        await asyncio.sleep(seconds)
        self.counts["held"] -= 1
        links = [k for k in self.connections if k.greeted and not k.here_out.transport.is_closing()]
        if links:
            self.dice.choice(links).here_out.write(frame)
