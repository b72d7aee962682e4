"""Renders every case of the shared chat templates: arguments are our program and the folder.

Each case goes in twice: as the template's own context, and as the request of a client, which must
give the model the very same text.
"""
import calendar
import datetime
import json
import pathlib
import subprocess
import sys

TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")
# Requests are made easier on templates than a context is: parts are joined, developers are systems,
# arguments are parsed, reasoning has many names.
NORMALIZED = ("parts", "developer", "string_args", "bad_order", "reasoning_field", "prefill")


def as_context(case, source, now):
    context = dict(case["input"], documents=None)
    context.setdefault("tools", None)
    return {"template": source, "context": context, "now": now}


def as_request(case, source, now):
    given = dict(case["input"])
    request = {name: given.pop(name) for name in ("messages", "tools", "add_generation_prompt")
               if name in given}
    request.setdefault("add_generation_prompt", False)
    tokens = {name: given.pop(name) for name in TOKENS if given.get(name)}
    if given:
        request["chat_template_kwargs"] = given
    return {"template": source, "request": request, "tokens": tokens, "now": now}


def main():
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    data = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    now = calendar.timegm(datetime.datetime.fromisoformat(data["now"]).timetuple())
    lines, wanted = [], []
    for case in data["cases"]:
        source = (folder / case["template"]).read_bytes().decode("utf-8")
        lines.append(json.dumps(as_context(case, source, now)))
        wanted.append(case)
        if case["case"] not in NORMALIZED and "error" not in case:
            lines.append(json.dumps(as_request(case, source, now)))
            wanted.append(case)
    run = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True)
    answers = [json.loads(line) for line in run.stdout.split("\n") if line]
    if len(answers) != len(lines):
        raise SystemExit(f"{len(answers)} answers to {len(lines)} cases\n{run.stderr}")
    bad = 0
    for case, answer in zip(wanted, answers):
        if ("error" in case) != ("error" in answer) or case.get("expected") != answer.get("text"):
            bad += 1
            print(f"{case['template']} {case['case']}: {answer!r}, not {case!r}")
    print(f"{len(lines)} renderings of {len(data['cases'])} cases, {bad} differ")
    return 1 if bad or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
