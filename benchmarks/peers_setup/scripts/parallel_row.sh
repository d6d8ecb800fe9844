#!/usr/bin/env bash
# One row: submit it, look until it has ended, print one line of JSON. curl's manual, --retry: a 429
# is transient, and its Retry-After is kept to.
set -eu
call() { curl -sS --fail --retry 10 -H "X-API-KEY: $API_KEY" "$@"; }

lead=$(jq -nc --arg name "$1" --arg site "$2" '{company_name: $name, website: $site}')
run=$(call --json "{\"mode\": \"async\", \"inputs\": $lead}" "$BASE_URL/grids/$GRID_ID/run" |
  jq -r .request_id)
status=running
while [ "$status" = running ]; do
  sleep "$POLL_SECONDS"
  answer=$(call "$BASE_URL/run/status/$run")
  status=$(jq -r .status <<<"$answer")
done
# The answer goes out as it came: older versions of jq round long numbers.
printf '%s, "answer": %s}\n' "${lead%\}}" "$answer"
