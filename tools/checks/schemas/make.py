"""Makes the schemas beside it, of what others publish and without the prose; validate.sh calls it."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
KUBERNETES = "v1.37.0"
# What deploy/k8s is made of. Kinds of kustomize and KEDA are not among those of Kubernetes.
KINDS = [
    "configmap-v1",
    "deployment-apps-v1",
    "job-batch-v1",
    "namespace-v1",
    "networkpolicy-networking-v1",
    "poddisruptionbudget-policy-v1",
    "secret-v1",
]


def bare(node, names=False):
    """A schema without what a validator does not read. In a mapping of names, any name is one."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if names or key not in ("description", "default")}
        return {key: bare(value, key in ("properties", "$defs")) for key, value in kept.items()}
    if isinstance(node, list):
        return [bare(part) for part in node]
    return node.replace("/api/_definitions.json#", "#") if isinstance(node, str) else node


def named(node):
    """The definitions that a schema refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rsplit("/", 1)[1]
            else:
                yield from named(value)
    elif isinstance(node, list):
        for part in node:
            yield from named(part)


def write(name, comment, schema):
    text = json.dumps({"$comment": comment, **schema}, indent=1) + "\n"
    (HERE / name).write_text(text)


def dashboard(made):
    comment = "Made by tools/checks/validate.sh of npm's @grafana/schema 13.2.3 (Apache-2.0)."
    write("dashboard.json", comment, bare(json.loads(pathlib.Path(made).read_text())))


def kubernetes():
    import kubernetes_validate

    folder = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"{KUBERNETES}-local-strict"
    known = json.loads((folder / "_definitions.json").read_text())["$defs"]
    found = {kind: bare(json.loads((folder / f"{kind}.json").read_text())) for kind in KINDS}
    left = [name for schema in found.values() for name in named(schema)]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = bare(known[name])
            left += named(found[name])
    for schema in found.values():
        # Each had an address of its own; here they are parts of one.
        schema.pop("$id", None)
    comment = f"Made by tools/checks/validate.sh of the schemas of Kubernetes {KUBERNETES} (Apache-2.0), strict, in PyPI's kubernetes-validate."
    write("kubernetes.json", comment, {"$defs": dict(sorted(found.items()))})


if __name__ == "__main__":
    dashboard(sys.argv[1])
    kubernetes()
