"""Schemathesis: requests made from the server's own description, right and wrong ones; every check it has. Minutes
long, so only with LARDER_SCHEMATHESIS=1."""

import os
import subprocess
import sys

import pytest

from conftest import Server


@pytest.mark.skipif(os.environ.get("LARDER_SCHEMATHESIS") != "1", reason="takes minutes: LARDER_SCHEMATHESIS=1")
def test_description_holds(tmp_path):
    server = Server("--ctx", "8192", "--parallel", "2", "--max-tokens", "8")
    program = os.path.join(os.path.dirname(sys.executable), "schemathesis")
    try:
        ended = subprocess.run(
            # An answer as long as was asked for takes its time: only the request's own time-out counts.
            [program, "run", server.url + "/openapi.json", "--checks", "all", "--max-examples", "10", "--seed", "1",
             "--phases", "examples,coverage,fuzzing", "--request-timeout", "600", "--max-response-time", "600", "--no-color"],
            capture_output=True, text=True, timeout=1200, cwd=tmp_path)
        print(ended.stdout[-6000:])
        assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-1000:]
    finally:
        server.stop()
