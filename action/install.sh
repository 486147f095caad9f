#!/usr/bin/env bash
# Installs bootstrapper into an environment of its own, and puts only its command on PATH.
set -euo pipefail

place=$RUNNER_TEMP/bootstrapper
extras=${EXTRAS:+[$EXTRAS]}
if [[ -n $VERSION ]]; then
    wanted="pg-bootstrapper$extras==$VERSION"
else
    wanted="$GITHUB_ACTION_PATH$extras"
fi
python3 -m venv "$place/environment"
"$place/environment/bin/pip" install --quiet --disable-pip-version-check "$wanted"
mkdir -p "$place/bin"
ln -sf "$place/environment/bin/bootstrapper" "$place/bin/bootstrapper"
echo "$place/bin" >> "$GITHUB_PATH"
