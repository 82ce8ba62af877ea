"""A cluster on one machine: each pod a network namespace with an address of its own, as a kubelet would give it.

The process that calls enter() is the node: it lives in a network and mount namespace of its own, with a bridge, the
database, the mail sink and a name server that answers for headless Services as CoreDNS does (every address of the
name, in any order; a pod stands in it from its start until it is told to end). Nothing outside is touched, and all
namespaces are gone with the last process. A partition drops packets silently, as networks do: a port of the bridge
that is isolated reaches the node and no other such port; a link that is down reaches nobody.
"""
import itertools
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from foliostack import ROOT, Process, Stack, StackError

NODE = "10.77.0.1"
DOMAIN = "foliopost.svc.cluster.local"
SERVICE_OF = {"scheduler": ("foliopost-scheduler", "foliopost-scheduler-work"), "userstream": ("foliopost-userstream",),
              "stats": ("foliopost-stats",), "mailer": ()}
GRACE_S = {"scheduler": 35, "userstream": 35, "stats": 35, "mailer": 70} # terminationGracePeriodSeconds
PRIVATE = "FOLIOPOST_NODE"


def enter():
    """Starts this program again as the node; comes back there."""
    if os.environ.get(PRIVATE) == "1":
        return
    if os.geteuid() != 0:
        sys.exit("this needs root, for namespaces")
    os.makedirs("/run/netns", exist_ok=True)
    os.makedirs("/etc/netns", exist_ok=True)
    os.environ[PRIVATE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def ip(*args):
    done = subprocess.run(["ip", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise StackError(f"ip {' '.join(args)}: {done.stderr.strip()}")


class Names:
    """The name server. A name has the addresses in its list; AAAA is answered with none."""

    def __init__(self):
        self.lock, self.table = threading.Lock(), {}
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((NODE, 53))
        self.tcp = socket.create_server((NODE, 53))
        for loop in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def change(self, name, address, there):
        with self.lock:
            known = self.table.setdefault(f"{name}.{DOMAIN}", [])
            if there:
                known.append(address)
            elif address in known:
                known.remove(address)

    def answer(self, query, longest):
        """One question, its answer; longest bytes, else the client is told to come by TCP."""
        end = query.index(b"\0", 12)
        labels, at = [], 12
        while at < end:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower())
            at += 1 + query[at]
        kind, = struct.unpack("!H", query[end + 1:end + 3])
        with self.lock:
            found = self.table.get(".".join(labels))
            addresses = list(found or ()) if kind == 1 else []
        random.shuffle(addresses)
        rows = b"".join(struct.pack("!HHHIH", 0xc00c, 1, 1, 5, 4) + socket.inet_aton(a) for a in addresses)
        flags, rows, count = (0x8780, b"", 0) if len(rows) + end > longest else (0x8580 if found is not None else 0x8583, rows, len(addresses))
        return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + query[12:end + 5] + rows

    def _serve_udp(self):
        while True:
            query, peer = self.udp.recvfrom(4096)
            try:
                self.udp.sendto(self.answer(query, 450), peer)
            except (ValueError, IndexError, struct.error, OSError):
                pass # no question, or a client that is gone

    def _serve_tcp(self):
        while True:
            client, _ = self.tcp.accept()
            try:
                client.settimeout(2)
                query = client.recv(4096)[2:]
                reply = self.answer(query, 65000)
                client.sendall(struct.pack("!H", len(reply)) + reply)
            except (ValueError, IndexError, struct.error, OSError):
                pass
            client.close()


class Pod(Process):
    """A service in a namespace of its own. Its address is never used again."""
    numbers = itertools.count(1)

    def __init__(self, cluster, service, argv):
        number = next(Pod.numbers)
        self.cluster, self.service, self.number = cluster, service, number
        self.address, self.veth = f"10.77.{1 + number // 250}.{1 + number % 250}", f"v{number}"
        self.ready_at = self.worked_at = None
        super().__init__(f"{service}-{number}", cluster.folder, argv, ports={"admin": 9100})

    def start(self):
        ip("netns", "add", self.name)
        ip("link", "add", self.veth, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.veth, "master", "node", "up")
        for args in (("addr", "add", f"{self.address}/16", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
            ip("-n", self.name, *args)
        conf = Path("/etc/netns") / self.name
        conf.mkdir()
        (conf / "resolv.conf").write_text(f"nameserver {NODE}\nsearch {DOMAIN} svc.cluster.local cluster.local\noptions ndots:5 timeout:1\n")
        self.argv = ["ip", "netns", "exec", self.name, *self.argv]
        self.publish(True)
        return super().start()

    def publish(self, there):
        for name in SERVICE_OF.get(self.service, ()):
            self.cluster.names.change(name, self.address, there)

    def delete(self):
        """As the API server's: out of the names and SIGTERM at once. Whoever waits sees the exit code."""
        self.publish(False)
        self.signal(signal.SIGTERM)

    def gone(self):
        """Waits for its end within the grace period; its address goes too. True: it drained and ended with 0."""
        well = self.wait(GRACE_S[self.service])
        if not well:
            self.kill()
        ip("netns", "delete", self.name)
        return well and self.exit_code() == 0

    def link(self, up):
        ip("link", "set", self.veth, "up" if up else "down")

    def isolate(self, on):
        ip("link", "set", self.veth, "type", "bridge_slave", "isolated", "on" if on else "off")

    def get(self, page):
        with urllib.request.urlopen(f"http://{self.address}:9100/{page}", timeout=5) as r:
            return r.read().decode()

    def metric(self, name, labels=""):
        """The sum of the series whose labels hold this text."""
        return sum(float(v) for series, v in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", self.get("metrics"), re.M) if labels in series)


class Cluster(Stack):
    def __init__(self, folder, build):
        super().__init__(folder, build)
        ip("link", "set", "lo", "up")
        for mount in ("/run/netns", "/etc/netns"):
            subprocess.run(["mount", "-t", "tmpfs", "netns", mount], check=True)
        ip("link", "add", "node", "type", "bridge")
        ip("addr", "add", f"{NODE}/16", "dev", "node")
        ip("link", "set", "node", "up")
        self.names, self.pods, self.flags = Names(), [], {}

    @property
    def dsn(self):
        return f"host={NODE} port={self.postgres.port} user=foliopost dbname={self.database}"

    def start_database(self, users):
        self.postgres.start(f"-c listen_addresses=127.0.0.1,{NODE}")
        with open(self.folder / "pg" / "pg_hba.conf", "a") as f:
            f.write("host all all 10.77.0.0/16 trust\n")
        self.postgres.sql("postgres", "SELECT pg_reload_conf()")
        self.make_database(users)

    def start_sink(self, *args):
        port, control = self.folder / "sink.port", self.folder / "sink.control"
        self.mails.mkdir(parents=True, exist_ok=True)
        self._start(Process("sink", self.folder, [self.binary("sink"), "--listen", f"{NODE}:2525", "--record", self.record,
                                                  "--control-file", control, "--port-file", port, *args]))
        self.smtp = f"{NODE}:2525"

    def tell_sink(self, command):
        (self.folder / "sink.control").write_text(command + "\n")

    def save(self):
        pass # nobody finds this one again

    def foliopost(self, *args, check=True, timeout=None):
        """From the node, to a scheduler that is up, as a Service would choose one."""
        schedulers = [p.address for p in self.of("scheduler") if p.ready_at]
        env = {**os.environ, "FOLIOPOST_RPC": ",".join(f"tcp://{a}:7700" for a in schedulers or [NODE]),
               "FOLIOPOST_LEDGER_DSN": self.dsn, "FOLIOPOST_SOURCE_DSN": self.dsn}
        done = subprocess.run([str(self.binary("foliopost")), *map(str, args)], env=env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout)
        if check and done.returncode:
            raise StackError(f"foliopost {' '.join(map(str, args))}: exit {done.returncode}: {done.stderr.strip()}")
        return done

    def of(self, service):
        return [p for p in self.pods if p.service == service]

    # --- pods --------------------------------------------------------------------------

    def _pod_flags(self, service):
        own = {"scheduler": {"rpc_listen": "tcp://0.0.0.0:7700", "work_listen": "tcp://0.0.0.0:7701"},
               "userstream": {"work_from": "tcp://foliopost-scheduler-work:7701", "users_listen": "tcp://0.0.0.0:7702"},
               "stats": {"users_from": "tcp://foliopost-userstream:7702", "summaries_listen": "tcp://0.0.0.0:7703"},
               "mailer": {"summaries_from": "tcp://foliopost-stats:7703", "transport": "smtp", "smtp_url": f"smtp://{self.smtp}",
                          "mail_rate": 0, "from": "Foliopost <reports@example.com>", "message_host": "example.com",
                          "drain_timeout": "60s", "templates": ROOT / "services" / "mailer" / "templates"}}[service]
        return {"ledger_dsn": self.dsn, "log_format": "text", **own, **self.flags.get(service, {})}

    def start_pod(self, service):
        argv = [self.binary(f"foliopost-{service}")]
        for key, value in self._pod_flags(service).items():
            argv += [f"--{key.replace('_', '-')}", value]
        pod = Pod(self, service, argv)
        self.pods.append(pod)
        return pod.start()

    def wait_ready(self, pod, seconds=60):
        end, why = time.monotonic() + seconds, "no answer"
        while time.monotonic() < end:
            if not pod.alive():
                break
            try:
                pod.get("readyz")
                pod.ready_at = time.monotonic()
                return pod
            except OSError as e:
                why = str(e)
            time.sleep(0.05)
        raise StackError(f"{pod.name} is not ready: {why}\n{pod.log_tail()}")

    def scale(self, service, count):
        """As a Deployment's replicas: new ones until all are ready, the newest go first. Returns the new ones."""
        have = self.of(service)
        new = [self.start_pod(service) for _ in range(count - len(have))]
        for p in new:
            self.wait_ready(p)
        self.end(have[count:])
        return new

    def end(self, pods):
        for p in pods:
            p.delete()
        bad = [p.name for p in pods if not p.gone()]
        self.pods = [p for p in self.pods if p not in pods]
        if bad:
            raise StackError(f"{bad} did not drain and end with 0 within their grace period: {self.folder / 'logs'}")

    def replace(self, service):
        """A rolling restart with maxSurge 1, maxUnavailable 0: each pod by one with a new address."""
        for old in self.of(service):
            self.wait_ready(self.start_pod(service))
            self.end([old])

    def stop(self):
        for p in self.pods:
            p.kill()
        if "sink" in self.processes:
            self.processes["sink"].stop()
        self.postgres.stop("immediate")
