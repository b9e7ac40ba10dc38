"""Calls `elenchus tokenize` on many lines at once."""
import json
import subprocess


def tokenize(build, model, lines, *options, quiet=False):
    """The answer to each JSON value of `lines`. `quiet`: without the program's own messages."""
    program = [build / "elenchus", "tokenize", "--model", model, *options, "-"]
    given = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    done = subprocess.run(program, input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, check=True)
    answers = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
    if len(answers) != len(lines):
        raise SystemExit(f"{model}: {len(lines)} lines gave {len(answers)} answers")
    return answers


def refuses(build, model, line):
    """Whether one line of bytes is refused as an input error."""
    program = [build / "elenchus", "tokenize", "--model", model, "-"]
    done = subprocess.run(program, input=line + b"\n", capture_output=True)
    return done.returncode == 3 and not done.stdout


def report(name, counts):
    """Prints the counts of one subject, {kind: (compared, different)}; gives the differences."""
    print(f"{name}: " + ", ".join(f"{kind} {n} compared, {bad} different" for kind, (n, bad) in counts.items()), flush=True)
    return sum(bad for _, bad in counts.values())


def differences(name, cases, ours, theirs, shown=3):
    """How many differ; prints the first few."""
    bad = 0
    for case, a, b in zip(cases, ours, theirs, strict=True):
        if a == b:
            continue
        bad += 1
        if bad <= shown:
            print(f"  {name}: {case!r}\n    ours   {str(a)[:600]}\n    theirs {str(b)[:600]}")
    return bad
