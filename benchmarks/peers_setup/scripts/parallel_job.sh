#!/usr/bin/env bash
# Follows GNU parallel's manual: --delay (its only pace: the time between the starts of two jobs),
# --joblog with --resume-failed ("retry all failed and resume from the last unfinished"; the same
# command again), --colsep. Its --csv needs a Perl module that is not part of it, hence leads.tsv.
set -eu
delay=$(awk "BEGIN { print (1 + $LOOKS) / $RATE }")  # a row sends 1 + LOOKS requests
exec parallel --will-cite -j 16 --delay "$delay" --joblog jobs.log --resume-failed \
  --colsep '\t' -a leads.tsv bash "$(dirname "$0")/parallel_row.sh" '{1}' '{2}' >>out.jsonl
