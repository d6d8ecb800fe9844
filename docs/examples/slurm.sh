#!/bin/sh
# A Slurm array, one task a shard; the array begins at 0:  sbatch --array=0-15 slurm.sh manifest.json
# Afterwards, on any node:  enricher merge manifest.json -o out.csv --state-dir ~/enricher-shards
#SBATCH --job-name=enricher
#SBATCH --ntasks=1
#SBATCH --mem=2G
#SBATCH --requeue
set -eu
# A task that ends with 3 is finished: some of its rows failed or are in doubt.
# SLURM_ARRAY_TASK_ID tells the shard. Tasks of several nodes need a limit that all of them know.
exec enricher run --manifest "$1" --state-dir "$HOME/enricher-shards" \
    --limiter redis://limits.cluster:6379/0 --no-progress
