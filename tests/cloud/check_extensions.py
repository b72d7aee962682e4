"""Checks objects of Kubernetes' extensions, of which kubernetes-validate knows nothing.

  check_extensions.py FILE...    each is …/VERSION/DEPLOYMENT/NAME.yaml, rendered for that version

Each kind has a schema in data/extensions. Where one refers to a type of Kubernetes' own (metadata, pods,
selectors), that is the type of the file's VERSION in kubernetes-validate, in its strict form. The
schemas are checked too: every object is spoilt in every place, one at a time, and must fail each time;
data/extensions/rules.json has what else must fail, and what must pass.
"""
import collections
import json
import pathlib
import sys

import jsonschema
import kubernetes_validate.utils
import referencing
import yaml

EXTENSIONS = pathlib.Path(__file__).parent / "data" / "extensions"
# Maps whose keys are the user's: none is a misspelt one.
FREE = {"labels", "annotations", "matchLabels", "nodeSelector", "requests", "limits"}
GONE = object()


def load_schemas():
    """By apiVersion and kind."""
    schemas = {}
    for file in EXTENSIONS.glob("*.schema.json"):
        schema = json.loads(file.read_text())
        head = schema["properties"]
        schemas[head["apiVersion"]["const"], head["kind"]["const"]] = schema
    return schemas


def with_types(schemas, version):
    """Validators of the schemas, with the types of this version of Kubernetes."""
    types = kubernetes_validate.utils.schema_contents(
        f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json", version)
    registry = referencing.Resource.from_contents(types) @ referencing.Registry()
    return {kind: jsonschema.Draft202012Validator(schema, registry=registry)
            for kind, schema in schemas.items()}


def kind_of(thing):
    return thing["apiVersion"], thing["kind"]


def describe(path):
    return ".".join(map(str, path))


def places(node, path=()):
    """All paths into a document, with what lies there."""
    yield path, node
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, member in pairs:
        yield from places(member, (*path, key))


def changed(node, path, value):
    """Its copy with another value at path, which may be new; GONE takes it away."""
    copied = node.copy()
    key, rest = path[0], path[1:]
    if rest:
        copied[key] = changed(node[key], rest, value)
    elif value is GONE:
        del copied[key]
    else:
        copied[key] = value
    return copied


def is_number_or_text(path):
    """Kubernetes takes either here: amounts, and ports by number or name."""
    return (path[-2:-1] in (("requests",), ("limits",)) or path[-1] == "sizeLimit" or
            path[-2:] == ("httpGet", "port"))


def wrong_type(path, value):
    if isinstance(value, (dict, list)):
        return "text"
    if isinstance(value, bool):
        return "true"
    if is_number_or_text(path):
        return True
    return 7 if isinstance(value, str) else "seven"


def spoilt(document):
    """Says what was done to each copy: a key too many, a key misspelt, or a value of another type."""
    for path, value in places(document):
        if path:
            yield f"{describe(path)} is {wrong_type(path, value)!r}", changed(
                document, path, wrong_type(path, value))
        if isinstance(value, dict) and (not path or path[-1] not in FREE):
            yield f"{describe((*path, 'other'))} added", changed(document, (*path, "other"), "text")
            for key, member in value.items():
                renamed = changed(document, (*path, key), GONE)
                yield f"{describe((*path, key))} misspelt", changed(
                    renamed, (*path, f"{key}x"), member)


def errors(validator, document):
    return [f"{describe(error.absolute_path)}: {error.message}"
            for error in validator.iter_errors(document)]


class Report:
    def __init__(self):
        self.valid = collections.Counter()  # by kind
        self.spoilt = self.caught = self.rules = 0
        self.faults = []

    def check(self, where, validator, document):
        found = errors(validator, document)
        self.faults += [f"{where}: {error}" for error in found]
        self.valid[document["kind"]] += not found
        return not found

    def spoil(self, where, validator, document):
        for what, copied in spoilt(document):
            self.spoilt += 1
            if validator.is_valid(copied):
                self.faults.append(f"{where}: not noticed: {what}")
            else:
                self.caught += 1

    def check_rule(self, rule, validator, document):
        path = [int(key) if key.isdigit() else key for key in rule["at"].split(".")]
        passes = validator.is_valid(changed(document, path, rule["value"]))
        self.rules += 1
        if passes != rule["passes"]:
            self.faults.append(f"{rule['kind']}: {'refused' if rule['passes'] else 'not noticed'}: "
                               f"{rule['at']} = {json.dumps(rule['value'])}")


def check_version(report, validators, rules, files):
    """All files of one version. Rules are tried on the first object of their kind."""
    first, spoilt_before = {}, []
    for file in files:
        document = yaml.safe_load(file.read_text())
        where = "/".join(file.parts[-3:])
        validator = validators.get(kind_of(document))
        if validator is None:
            report.faults.append(f"{where}: no schema for {' '.join(kind_of(document))}")
        elif report.check(where, validator, document) and document not in spoilt_before:
            first.setdefault(document["kind"], (validator, document))
            spoilt_before.append(document)
            report.spoil(where, validator, document)
    report.faults += [f"{files[0].parts[-3]}: no valid {kind} was rendered"
                      for _, kind in validators if kind not in first]
    for rule in rules:
        if rule["kind"] in first:
            report.check_rule(rule, *first[rule["kind"]])


def main(files):
    schemas = load_schemas()
    rules = json.loads((EXTENSIONS / "rules.json").read_text())
    report = Report()
    by_version = collections.defaultdict(list)
    for file in sorted(map(pathlib.Path, files)):
        by_version[file.parts[-3]].append(file)
    for version, of_version in by_version.items():
        check_version(report, with_types(schemas, version), rules, of_version)
    for fault in report.faults:
        print(fault)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.valid.items()))
    print(f"extensions: {report.valid.total()} objects valid ({kinds}); "
          f"{report.caught} of {report.spoilt} mutations caught; {report.rules} rules tried")
    return 1 if report.faults or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
