#!/usr/bin/env bash
# Runs the command; what it prints is the summary of the job, and a plan also a comment and annotations.
set -euo pipefail

place=$RUNNER_TEMP/bootstrapper
markdown=$place/plan.md sarif=$place/plan.sarif report=$place/report.json
mkdir -p "$place"

output() { echo "$1=$2" >> "$GITHUB_OUTPUT"; }

code=0
case $COMMAND in
    validate)
        bootstrapper validate | tee -a "$GITHUB_STEP_SUMMARY" || code=$?
        ;;
    plan)
        bootstrapper plan --exit-code --format markdown > "$markdown" || code=$?
        if [[ $code == [04] ]]; then
            bootstrapper plan --quiet --format sarif > "$sarif"
            python3 "$GITHUB_ACTION_PATH/action/annotate.py" "$sarif"
            output sarif "$sarif"
        else
            echo "### The plan failed with exit code $code" > "$markdown"
        fi
        cat "$markdown" >> "$GITHUB_STEP_SUMMARY"
        output markdown "$markdown"
        if [[ $COMMENT == true ]]; then
            "$GITHUB_ACTION_PATH/action/comment.sh" "$markdown"
        fi
        ;;
    apply)
        bootstrapper apply --format markdown --report "$report" --overwrite >> "$GITHUB_STEP_SUMMARY" || code=$?
        output report "$report"
        ;;
    *)
        echo "::error::command is validate, plan or apply, not '$COMMAND'"
        code=2
        ;;
esac
output exit-code "$code"
[[ $code == 4 ]] || exit "$code"
