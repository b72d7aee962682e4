"""Renders every case of the shared chat templates: arguments are our program and the folder."""
import calendar
import datetime
import json
import pathlib
import subprocess
import sys


def request(folder, now, case):
    source = (folder / case["template"]).read_bytes().decode("utf-8")
    context = dict(case["input"], documents=None)
    context.setdefault("tools", None)
    return json.dumps({"template": source, "context": context, "now": now})


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    data = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    now = calendar.timegm(datetime.datetime.fromisoformat(data["now"]).timetuple())
    lines = [request(folder, now, case) for case in data["cases"]]
    run = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True)
    answers = [json.loads(line) for line in run.stdout.split("\n") if line]
    if len(answers) != len(lines):
        raise SystemExit(f"{len(answers)} answers to {len(lines)} cases\n{run.stderr}")
    bad = 0
    for case, answer in zip(data["cases"], answers):
        if ("error" in case) != ("error" in answer) or case.get("expected") != answer.get("text"):
            bad += 1
            print(f"{case['template']} {case['case']}: {answer!r}, not {case!r}")
    print(f"{len(lines)} cases, {bad} differ")
    return 1 if bad or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
