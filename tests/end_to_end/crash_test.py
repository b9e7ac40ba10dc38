#!/usr/bin/env python3
"""Whatever happens to a run, continuing it gives the run to which nothing happened, bit for bit.

    crash_test.py PROGRAM kills 200      SIGKILL at random times, some of them again while resuming
    crash_test.py PROGRAM signals 100    SIGTERM, SIGINT or SIGHUP at random times: no step is lost; some killed while resuming
    crash_test.py PROGRAM curves 20      the same, and what TensorBoard (PyPI, to be installed) reads of the run is the same
    crash_test.py PROGRAM killed_at 1    SIGKILL at each file operation (2: at every second one)
    crash_test.py PROGRAM faults 1       ENOSPC and EIO at each file operation, once and from there on; short writes and EINTR
    crash_test.py PROGRAM races 100      two runs at once in one folder: one works, the other exits 7
    crash_test.py PROGRAM small_disk 64  a file system of one to nine checkpoints, in steps of so many KiB (root only)
    crash_test.py PROGRAM memory 20      address space limits: done, or exit 4, and nothing is damaged
    crash_test.py PROGRAM changes        other clock, time zone, locale, folder and threads: the same bits
"""
import errno
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import tiny_run

HERE = pathlib.Path(__file__).parent
LIMIT_SECONDS = 120


class Bench:
    """A run to compare with, and runs that something happens to."""

    def __init__(self, program, folder, environment, modules, **training):
        self.program, self.folder, self.environment = program, folder, environment
        self.problems = 0
        self.recipe = tiny_run.make(folder, modules, **training)
        self.output = folder / "output"
        began = time.monotonic()
        self.expect(self.start().wait(LIMIT_SECONDS) == 0, "the run to compare with fails")
        self.seconds = time.monotonic() - began
        self.whole = {part: part(self.output) for part in tiny_run.RESULTS}

    def start(self, *words, environment=None, limit=None, **options):
        self.log = open(self.folder / "stderr.txt", "w")
        return subprocess.Popen([self.program, "train", self.recipe, *words], stdout=subprocess.DEVNULL, stderr=self.log,
                                env={**os.environ, **self.environment, **(environment or {})}, preexec_fn=limit, **options)

    def clear(self):
        shutil.rmtree(self.output, ignore_errors=True)

    def expect(self, right, what):
        if right:
            return
        self.problems += 1
        print(f"FAILED: {what}\n{(self.folder / 'stderr.txt').read_text()[-2000:]}", flush=True)
        if self.problems > 5:
            sys.exit(1)

    def stopped_at(self):
        """The step after which a signal stopped the run, as it says."""
        return int(re.search(r"stopped by SIG\w+ after step (\d+)", (self.folder / "stderr.txt").read_text())[1])

    def check_left(self, what):
        """What an unlucky process leaves: whole checkpoints only."""
        self.expect(not tiny_run.damage(self.output), f"{what}: damaged {tiny_run.damage(self.output)}")

    def finish(self, what, compare=tiny_run.RESULTS, environment=None):
        """Continues to the end and compares."""
        run = self.start("--resume", environment=environment)
        self.expect(run.wait(LIMIT_SECONDS) == 0, f"{what}: cannot be resumed")
        for part in compare:
            self.expect(part(self.output) == self.whole[part], f"{what}: another {part.__name__}")
        left = tiny_run.leftovers(self.output)
        self.expect(not left, f"{what}: left over {left}")


def kills(bench, count):
    draw, killed = random.Random(), 0
    for i in range(count):
        bench.clear()
        for _ in range(2 if i % 4 == 0 else 1):  # every fourth once more while it resumes
            run = bench.start("--resume")
            try:
                run.wait(draw.uniform(0, bench.seconds * 1.05))
            except subprocess.TimeoutExpired:
                run.kill()
            killed += run.wait() == -signal.SIGKILL
            bench.check_left(f"kill {i}")
        bench.finish(f"kill {i}")
    bench.expect(killed > 0, "no run was killed before its end")
    return f"{count} runs, {killed} times killed"


def signals(bench, count, compare=tiny_run.RESULTS):
    draw, codes = random.Random(), {}
    for i in range(count):
        bench.clear()
        run = bench.start("--resume")
        number = draw.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
        while run.poll() is None and not (bench.output / "trainer_log.jsonl").exists():
            time.sleep(0.001)  # until the loop begins; before it there is nothing to save
        try:
            run.wait(draw.uniform(0, bench.seconds / 4))
        except subprocess.TimeoutExpired:
            run.send_signal(number)
        code = run.wait(30)
        bench.expect(code in (0, 128 + number), f"signal {i}: exit status {code}")
        codes[code] = codes.get(code, 0) + 1
        bench.check_left(f"signal {i}")
        if code:
            step = bench.stopped_at()
            saved = step == 0 or (bench.output / f"checkpoint-{step}").is_dir()
            bench.expect(saved, f"signal {i}: stopped after step {step}, which was not saved")
        if i % 3 == 0:
            run = bench.start("--resume")
            try:
                run.wait(draw.uniform(0, bench.seconds))
            except subprocess.TimeoutExpired:
                run.kill()
            run.wait()
        bench.finish(f"signal {i}", compare)
    return f"{count} runs, exit codes {codes}"


def curves(bench, count):
    bench.whole[tiny_run.curves] = tiny_run.curves(bench.output)
    bench.expect(bench.start().wait(LIMIT_SECONDS) == 0, "a new run in a used folder fails")
    bench.expect(tiny_run.curves(bench.output) == bench.whole[tiny_run.curves], "curves of two runs are mixed")
    return signals(bench, count, (*tiny_run.RESULTS, tiny_run.curves))


def shim(bench):
    library = bench.folder / "fault_shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "fault_shim.c", "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "FAULT_FOLDER": str(bench.output)}


def operations(bench, preload):
    counts = bench.folder / "operations.txt"
    bench.clear()
    bench.expect(bench.start(environment={**preload, "FAULT_COUNT": str(counts)}).wait(LIMIT_SECONDS) == 0,
                 "the run that counts operations fails")
    return counts.read_text().split()


def killed_at(bench, stride):
    preload = shim(bench)
    names = operations(bench, preload)
    points = range(1 + random.randrange(stride), len(names) + 1, stride)
    for at in points:
        bench.clear()
        code = bench.start(environment={**preload, "FAULT_AT": str(at), "FAULT_KIND": "KILL"}).wait(LIMIT_SECONDS)
        bench.expect(code == -signal.SIGKILL, f"operation {at} ({names[at - 1]}): exit status {code}")
        bench.check_left(f"killed at operation {at}")
        bench.finish(f"killed at operation {at} ({names[at - 1]})")
    return f"{len(points)} of {len(names)} operations"


def faults(bench, stride):
    preload = shim(bench)
    names = operations(bench, preload)
    kinds = [(str(errno.ENOSPC), "0"), (str(errno.ENOSPC), "1"), (str(errno.EIO), "0"), (str(errno.EIO), "1"),
             ("SHORT", "1"), (str(errno.EINTR), "0")]
    codes = {}
    first = 1 + random.randrange(stride)
    for at in range(first, len(names) + 1, stride):
        for kind, onward in kinds:
            what = f"{kind} at operation {at} ({names[at - 1]}){' and on' if onward == '1' else ''}"
            bench.clear()
            fault = {"FAULT_AT": str(at), "FAULT_KIND": kind, "FAULT_ONWARD": onward}
            code = bench.start(environment={**preload, **fault}).wait(LIMIT_SECONDS)
            codes[code] = codes.get(code, 0) + 1
            bench.expect(code in ((0,) if kind == "SHORT" else (0, 4)), f"{what}: exit status {code}")
            bench.check_left(what)
            if code == 0:  # the run got over it; logs may lack what could not be written
                bench.expect(tiny_run.adapter(bench.output) == bench.whole[tiny_run.adapter], f"{what}: another adapter")
            bench.finish(what, compare=(tiny_run.adapter, tiny_run.history))
    return f"{len(names)} operations, every {stride}., {len(kinds)} kinds of fault, exit codes {codes}"


def small_disk(bench, step):
    checkpoint = sum(f.stat().st_size for f in next(bench.output.glob("checkpoint-*")).iterdir())
    codes, sizes = {}, range(checkpoint, 9 * checkpoint + 1, step << 10)
    for size in sizes:
        bench.clear()
        bench.output.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", bench.output], check=True)
        try:
            code = bench.start().wait(LIMIT_SECONDS)
            codes[code] = codes.get(code, 0) + 1
            bench.expect(code in (0, 4), f"{size >> 10} KiB: exit status {code}")
            bench.check_left(f"{size >> 10} KiB")
            if code == 0:
                bench.expect(tiny_run.adapter(bench.output) == bench.whole[tiny_run.adapter], f"{size >> 10} KiB")
            subprocess.run(["mount", "-o", "remount,size=64M", bench.output], check=True)
            bench.finish(f"{size >> 10} KiB", compare=(tiny_run.adapter, tiny_run.history))
        finally:
            subprocess.run(["umount", bench.output], check=True)
    return f"{len(sizes)} sizes from {checkpoint >> 10} KiB, exit codes {codes}"


def races(bench, count):
    for i in range(count):
        bench.clear()
        pair = [bench.start() for _ in range(2)]
        codes = sorted(run.wait(LIMIT_SECONDS) for run in pair)
        bench.expect(codes == [0, 7], f"race {i}: exit codes {codes}")
        bench.expect(tiny_run.adapter(bench.output) == bench.whole[tiny_run.adapter], f"race {i}: another adapter")
    return f"{count} races, each with one winner"


def memory(bench, count):
    codes = {}
    for i in range(count):
        size = int((20 + 12 * i) * 2**20)
        bench.clear()
        bench.output.mkdir()
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))
        code = bench.start(limit=limit).wait(LIMIT_SECONDS)
        codes[code] = codes.get(code, 0) + 1
        bench.expect(code in (0, 4, 127), f"{size >> 20} MiB: exit status {code}")  # 127: not even loaded
        bench.check_left(f"{size >> 20} MiB")
        bench.finish(f"{size >> 20} MiB")
    return f"{count} limits, exit codes {codes}"


def german(bench):
    """A locale whose decimal separator is a comma, made where the system has its source."""
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", bench.folder / "de_DE.UTF-8"], capture_output=True)
    if made.returncode:
        print("changes: no decimal comma, for de_DE cannot be made here", flush=True)
    return {"LOCPATH": str(bench.folder), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}


def changes(bench, _):
    tomorrow = {**shim(bench), "FAULT_CLOCK": "86400"}
    variants = [({"TZ": "Asia/Tokyo"}, "."), (german(bench), "/"), ({}, "/tmp"), (tomorrow, ".")]
    codes = {}
    for environment, folder in variants:
        for threads in (1, 2, 3, 7):
            bench.clear()
            words = [f"model.threads={threads}"]
            run = bench.start(*words, "training.max_steps=-1", cwd=folder)
            time.sleep(bench.seconds / 2)
            run.send_signal(signal.SIGTERM)
            code = run.wait(30)
            codes[code] = codes.get(code, 0) + 1
            bench.finish(f"{environment} in {folder}, {threads} threads", environment=environment)
    bench.expect(128 + signal.SIGTERM in codes, "no run was stopped half-way")
    return f"{4 * len(variants)} runs, stopped half-way and continued elsewhere, exit codes {codes}"


if __name__ == "__main__":
    kind, number = sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    # Every kind of file operation, but few of each, and no pictures: they take nine tenths of the time.
    small = {"num_train_epochs": 1, "max_steps": 3, "save_steps": 1, "save_total_limit": 1, "eval_steps": 2,
             "report_to": []}
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of synced files
    with tempfile.TemporaryDirectory(dir=parent) as place:
        few = kind in ("faults", "killed_at")
        no_pictures = {"PLPLOT_LIB": "/nonexistent", "PLPLOT_DRV_DIR": "/nonexistent"}
        bench = Bench(os.path.abspath(sys.argv[1]), pathlib.Path(place), no_pictures if few else {},
                      ["o_proj"] if few else "all-linear", **(small if few else {}))
        began = time.monotonic()
        summary = globals()[kind](bench, number)
        print(f"{kind}: {summary}; {bench.problems} problems; {time.monotonic() - began:.0f} s")
        sys.exit(1 if bench.problems else 0)
