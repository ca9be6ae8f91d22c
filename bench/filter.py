#!/usr/bin/env python3
"""What the filter costs Envoy: `make bench-filter`.

Three Envoys of the same configuration, one without a filter, one with a filter that only copies each body out and in again, and
one with ours, take turns in short rounds. What counts is the processor time of the Envoy process, as the kernel counts it in
nanoseconds, and of all rounds the least: what else the machine does only ever adds. A table, then one JSON object a line.

Then the instructions of the last two, counted by valgrind's tool callgrind: they repeat to a hundredth where the time of two Envoys
with one module differs by a tenth of what the filter costs. With --gates only these, and a status of 1 if there are too many.
"""

import argparse
import contextlib
import glob
import http.client
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "envoy-filter/tests"))

from parts import CBOR, Envoy, Homeserver, answer, program  # noqa: E402

SYNC = ROOT / "codec/tests/data/sync-small.json"
BODIES = ROOT / "codec/tests/data/bodies.jsonl"
SMALL, LARGE = "/_matrix/client/v3/small", "/_matrix/client/v3/large"
TITLES = {SMALL: "1 kB", LARGE: "200 kB"}
# Microseconds over the copying filter.
AT_MOST = {SMALL: 10, LARGE: 300}
ROUNDS = 12
# Requests of a round: some tenths of a second of processor time each.
REQUESTS = {SMALL: 1500, LARGE: 250}
READY_STARTS = 5

# Of the instructions over the copying filter that are counted in so many requests.
GATES = {SMALL: 80_000, LARGE: 3_700_000}
COUNTED = {SMALL: 50, LARGE: 5}
CALLGRIND = ["valgrind", "--tool=callgrind", "--smc-check=all-non-file", "--instr-atstart=no"]


def small_body():
    """A body of a homeserver of about a kilobyte."""
    lines = BODIES.read_bytes().splitlines()
    return min(lines, key=lambda line: abs(len(line) - 1000))


def large_body():
    """Ten small syncs in an array: 200 kB."""
    return b"[" + b",".join([SYNC.read_bytes().strip()] * 10) + b"]"


def without_filter(text):
    """The configuration without the filter, on both listeners."""
    text, count = re.subn(r"          - name: lowband\n(?:            .*\n)+", "", text)
    assert count == 2
    return text


def with_copying_filter(text):
    """The same with the other module. Its configuration is none of its business."""
    ours = program("LOWBAND_WASM", "target/lowband-filter.wasm", "filter")
    theirs = program("LOWBAND_COPY_WASM", "target/lowband-copy-filter.wasm", "bench-filter")
    assert ours in text
    return text.replace(ours, theirs)


def processor_time(pid):
    """Seconds of all threads (proc(5), schedstat)."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


class Subject:
    def __init__(self, name, homeserver, edit, run_by=()):
        self.name = name
        self.envoy = Envoy(f"http://127.0.0.1:{homeserver.port}", edit=edit, run_by=run_by).ready()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.envoy.public, timeout=60)
        self.least = {}

    def ask(self, path, count):
        for _ in range(count):
            self.connection.request("GET", path, headers={"accept": CBOR})
            response = self.connection.getresponse()
            body = response.read()
        return response.getheader("content-type"), len(body)

    def round(self, path):
        pid, count = self.envoy.process.pid, REQUESTS[path]
        before = processor_time(pid)
        self.ask(path, count)
        spent = (processor_time(pid) - before) / count
        self.least[path] = min(spent, self.least.get(path, spent))


def ready_after():
    """Seconds from the start of an Envoy with the filter to its readiness, and of one without; the least of some starts."""
    def start(edit):
        envoy = Envoy("http://127.0.0.1:1", edit=edit)
        begin = envoy.started
        try:
            while True:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", envoy.admin, timeout=1)) as connection:
                        connection.request("GET", "/ready")
                        if connection.getresponse().status == 200:
                            return time.monotonic() - begin
                time.sleep(0.002)
        finally:
            envoy.stop()

    starts = [(start(lambda text: text), start(without_filter)) for _ in range(READY_STARTS)]
    return min(ours for ours, _ in starts), min(bare for _, bare in starts)


def instructions(name, homeserver, edit):
    """Of an Envoy for each response, by path."""
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(name, homeserver, edit, run_by=[*CALLGRIND, f"--callgrind-out-file={folder}/out"])

        def control(*what):
            command = ["callgrind_control", *what, str(subject.envoy.process.pid)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        counted = {}
        try:
            control("-i", "on")
            for path, count in COUNTED.items():
                # What has run before is translated, and the tables of the codec are made.
                subject.ask(path, 5)
                control("-z")
                subject.ask(path, count)
                control("-d")
                dump = max(pathlib.Path(folder).glob("out.*"), key=lambda file: file.stat().st_mtime_ns)
                counted[path] = int(re.findall(r"^(?:summary|totals): (\d+)", dump.read_text(), re.M)[-1]) / count
        finally:
            subject.envoy.stop()
        return counted


def count_instructions(homeserver):
    """A table of both filters and their difference. False if it is beyond a gate."""
    copying = instructions("copying", homeserver, with_copying_filter)
    ours = instructions("ours", homeserver, lambda text: text)
    over = {path: ours[path] - copying[path] for path in COUNTED}
    print(f"\n{'instructions of Envoy for each response':<50}{'copying':>10}{'ours':>10}{'over copying':>14}{'gate':>10}")
    for path, title in TITLES.items():
        beyond = "  too many" if over[path] > GATES[path] else ""
        print(f"{title:<50}{copying[path]:>10.0f}{ours[path]:>10.0f}{over[path]:>14.0f}{GATES[path]:>10}{beyond}")
    for path, title in TITLES.items():
        name = f"filter_{title.replace(' ', '_').lower()}_instructions_over_copying"
        print(json.dumps({"name": name, "value": round(over[path]), "unit": "instructions"}))
    return all(over[path] <= gate for path, gate in GATES.items())


def measure(homeserver):
    subjects = [
        Subject("none", homeserver, without_filter),
        Subject("copying", homeserver, with_copying_filter),
        Subject("ours", homeserver, lambda text: text),
    ]
    try:
        for subject in subjects:
            for path in REQUESTS:
                form, size = subject.ask(path, 20)
                print(f"{subject.name}: {path} is {form}, {size} bytes")
        for number in range(ROUNDS):
            for path in REQUESTS:
                for subject in subjects:
                    subject.round(path)
            print(f"round {number + 1} of {ROUNDS}", flush=True)
    finally:
        for subject in subjects:
            subject.envoy.stop()
    ready, bare = ready_after()

    figures = []
    print(f"\n{'CPU of Envoy for each response, us':<40}{'none':>10}{'copying':>10}{'ours':>10}{'over copying':>14}{'at most':>10}")
    for path, title in TITLES.items():
        at_most = AT_MOST[path]
        none, copying, ours = (subject.least[path] * 1e6 for subject in subjects)
        over = ours - copying
        missed = "  missed" if over > at_most else ""
        print(f"{title:<40}{none:>10.1f}{copying:>10.1f}{ours:>10.1f}{over:>14.1f}{at_most:>10}{missed}")
        for name, value in (("none", none), ("copying", copying), ("ours", ours), ("over_copying", over)):
            figures.append((f"filter_{title.replace(' ', '_').lower()}_{name}", value, "us"))
    missed = "  missed" if ready > 0.3 else ""
    print(f"{'ready after, s':<40}{bare:>10.2f}{'':>10}{ready:>10.2f}{'':>14}{0.3:>10}{missed}\n")
    figures += [("filter_ready", ready, "s"), ("filter_ready_bare", bare, "s")]
    for name, value, unit in figures:
        print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}))


def main():
    parser = argparse.ArgumentParser(description="What the filter costs Envoy.")
    parser.add_argument("--gates", action="store_true", help="count instructions only, and fail where there are too many")
    options = parser.parse_args()
    homeserver = Homeserver()
    homeserver.answers = {SMALL: answer(small_body()), LARGE: answer(large_body())}
    if not options.gates:
        measure(homeserver)
    if not count_instructions(homeserver) and options.gates:
        sys.exit(1)


if __name__ == "__main__":
    main()
