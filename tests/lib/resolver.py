"""A name server on loopback, for names that no test may ask the world for."""

import collections.abc
import contextlib
import pathlib
import random
import socket
import struct
import threading

TYPE_A, TYPE_AAAA, NXDOMAIN = 1, 28, 3
FAMILIES = {TYPE_A: socket.AF_INET, TYPE_AAAA: socket.AF_INET6}
SILENCE = None


class Resolver:
    """Answers with `names`: a list of addresses, or SILENCE; or an iterator
    of lists of IPv4 addresses, whose next is for the next who asks.

    Needs root: port 53, and a mount namespace in which /etc/resolv.conf is
    ours. `wrapper` is the command that runs its arguments in there.
    """

    def __init__(self, names, directory):
        self.names = names
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            address = ".".join(map(str, [127, *random.choices(
                range(1, 255), k=3)]))
            with contextlib.suppress(OSError):
                self.sock.bind((address, 53))
                break
        conf = pathlib.Path(directory) / "resolv.conf"
        conf.write_text(f"nameserver {address}\n")
        self.wrapper = ["unshare", "--mount", "sh", "-c",
                        f'mount --bind {conf} /etc/resolv.conf && exec "$@"',
                        "sh"]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self.sock.recvfrom(1500)
                answer = self.answer(query)
                if answer:
                    self.sock.sendto(answer, client)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
            at += 1 + query[at]
        kind, = struct.unpack("!H", query[at + 1:at + 3])
        question = query[12:at + 5]
        name = ".".join(labels).lower()
        self.asked.append(name)
        addresses = self.names.get(name, [])
        if addresses is SILENCE:
            return None
        status = 0 if addresses else NXDOMAIN
        if isinstance(addresses, collections.abc.Iterator):
            addresses = next(addresses) if kind == TYPE_A else []
        found = [socket.inet_pton(FAMILIES[kind], address)
                 for address in addresses if kind in FAMILIES
                 and (":" in address) == (kind == TYPE_AAAA)]
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(address))
            + address for address in found)
        return (query[:2] + struct.pack("!HHHHH", 0x8180 | status, 1,
                                        len(found), 0, 0)
                + question + records)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
