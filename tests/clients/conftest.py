"""A server with the demo model for all tests: started on a free port, ended by SIGTERM, by its process id."""

import os
import re
import subprocess
import threading
import time
import urllib.request

import pytest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
LARDER = os.environ.get("LARDER", os.path.join(ROOT, "build", "larder"))
MODEL = os.path.join(ROOT, "models", "demo", "larder-demo.gguf")


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [LARDER, "serve", "-m", MODEL, "--port", "0", *options],
            stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.url = None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                self.url = found.group(1)
            if "ready" in line:
                break
        assert self.url and self.process.poll() is None, "".join(self.lines)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read().decode()

    def stop(self):
        start = time.monotonic()
        self.process.terminate()
        status = self.process.wait(timeout=15)
        assert status == 0, (status, "".join(self.lines))
        assert time.monotonic() - start < 10


@pytest.fixture(scope="session")
def server():
    one = Server("--ctx", "4096", "--parallel", "2")
    yield one
    one.stop()
