#!/usr/bin/env bash
# Comments on the pull request with a file, or updates the comment that it made before for the same file and environment.
set -euo pipefail

number=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get("pull_request", {}).get("number", ""))' \
    "$GITHUB_EVENT_PATH")
if [[ -z $number ]]; then
    echo "No comment: this is not a pull request."
    exit
fi

export MARKER="<!-- bootstrapper plan: $BOOTSTRAPPER_FILE $BOOTSTRAPPER_ENVIRONMENT -->"
run=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID
plan=$(< "$1")
if ((${#plan} > 60000)); then # a comment may have 65,536 characters
    plan="${plan%%$'\n#### '*}"$'\nThis plan is too long for a comment; the summary of the run has all of it.'
fi
body=$RUNNER_TEMP/bootstrapper/comment.md
printf '%s\n%s\n\n[Run](%s), %s\n' "$MARKER" "$plan" "$run" "$GITHUB_SHA" > "$body"

comments=repos/$GITHUB_REPOSITORY/issues/$number/comments
if ! found=$(gh api --paginate "$comments" --jq '.[] | select(.body | startswith(env.MARKER)) | .id'); then
    echo "::warning::The plan could not be added to the pull request: its comments cannot be read."
    exit
fi
earlier=${found%%$'\n'*}
if [[ -n $earlier ]]; then
    request=(--method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$earlier")
else
    request=(--method POST "$comments")
fi
gh api --silent "${request[@]}" -F "body=@$body" ||
    echo "::warning::The plan could not be added to the pull request: the token needs the permission pull-requests: write."
