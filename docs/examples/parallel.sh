#!/bin/sh
# All shards of a manifest on this machine, then the output:  sh parallel.sh manifest.json out.csv
# They keep one rate limit together by themselves (--limiter host).
set -eu
export manifest=$1 output=$2
shards=$(sed -n 's/^ *"shards": \([0-9]*\).*/\1/p' "$manifest")

# A shard that could not go on is repeated; what it has paid is in its checkpoint. One that ends with
# 3 is finished: some of its rows failed or are in doubt, which the merge tells.
seq 0 "$((shards - 1))" |
    parallel --jobs "${JOBS:-4}" --retries 3 --will-cite \
        'enricher run --manifest "$manifest" --shard {} --quiet || test $? -eq 3'
enricher merge "$manifest" -o "$output"
