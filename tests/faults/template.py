"""A warm process that is forked for every victim: it has imported everything before any event loop exists.

Started as `python -m tests.faults.template SOCKET`. It takes orders, one JSON object a line, from that Unix socket, and
says there which of its children ended. A child (`tests.faults.child`) takes orders of its own from the same address.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys

from tests.faults import tracer


def main(address: str) -> None:
    tracer.install()
    child = importlib.import_module("tests.faults.child")  # which imports what `install` must come before
    child.prepare()
    gc.collect()
    gc.freeze()
    orders = child.connect(address, {"is": "template"})
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    rest = b""
    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_the_dead(orders)
        if orders not in ready:
            continue
        read = orders.recv(1 << 20)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if os.fork() == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for inherited in (orders, woken, wake):
                    inherited.close()
                os._exit(child.live(address, order))


def _tell_the_dead(orders: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        orders.sendall(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
