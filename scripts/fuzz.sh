#!/usr/bin/env bash
# Lets every fuzz target of all modules run for a while, four times as many side by side as there are processors:
#
#   scripts/fuzz.sh 30          each for 30 seconds
#   scripts/fuzz.sh 600 Token   those whose package or name contains "Token", each for ten minutes
#
# Whatever stands behind "func Fuzz" in a test file is a target. An input that breaks one is written below testdata/fuzz of its package, and fails `make test` from then on; inputs that reached new code are
# kept in .tools/fuzz, where the next run begins. The fuzzers give way a little to everything else on the machine, so that they mostly use the time in which tests wait. A target that came to hardly anything in its
# time goes on for as long again, a few times, and then fails: it would have shown nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export FUZZ_SECONDS=${1:?say for how many seconds each target is to run} ROOT=$PWD
export LEAST=500 # executions that a target must come to; even a slow machine has thousands
only=${2:-}
FUZZ_HOME=$(mktemp -d)
export FUZZ_HOME
trap 'rm -rf "$FUZZ_HOME"' EXIT

# targets prints a folder and a name for each target.
targets() { git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed -E 's|^|./|; s|/[^/]*:func | |' | grep -F -- "$only"; }

# program_of is where `go test -c` puts the test program of a folder: it is called after the last word of the import path.
program_of() {
	if [ "$1" = . ]; then
		printf '%s/root/skald.test' "$FUZZ_HOME" # the command has the same name
	else
		printf '%s/%s.test' "$FUZZ_HOME" "${1##*/}"
	fi
}

# fuzz runs one target and prints how often it was executed. The time is ended by an interrupt, as a person ends it: when the fuzzer ends by its own limit it takes that for a failure now and then.
fuzz() {
	local folder=$1 name=$2 report status=0 runs=0 rounds=0
	while [ "$status" = 0 ] && [ "$runs" -lt "$LEAST" ] && [ "$rounds" -lt 5 ]; do
		rounds=$((rounds + 1))
		report=$(cd "$folder" && timeout --foreground --preserve-status --signal=INT --kill-after=60 "$FUZZ_SECONDS" "$(program_of "$folder")" -test.run='^$' -test.fuzz="^$name\$" \
			-test.parallel=1 -test.fuzzminimizetime=100x -test.fuzzcachedir="$ROOT/.tools/fuzz/$folder" 2>&1) || status=$?
		runs=$((runs + $(grep -oE 'execs: [0-9]+' <<<"0 execs: 0 $report" | tail -n 1 | tr -dc 0-9)))
	done
	if [ "$status" != 0 ] || [ "$runs" -lt "$LEAST" ]; then
		printf 'FAIL  %s %s  %d runs in %d s, and %d are the least\n%s\n' "$folder" "$name" "$runs" "$((rounds * FUZZ_SECONDS))" "$LEAST" "$report"
		return 1
	fi
	printf 'ok    %s %s  %d runs in %d s\n' "$folder" "$name" "$runs" "$((rounds * FUZZ_SECONDS))"
}
export -f fuzz program_of

list=$(targets) || { echo "no fuzz target is called like $only" >&2; exit 1; }
renice --priority 5 --pid $$ >/dev/null 2>&1 || true # only root takes back what a caller gave away
# The test programs tell the fuzzer where in our own code they have been.
mapfile -t folders < <(cut -d' ' -f1 <<<"$list" | sort -u | grep -vxF . || true)
program() { go test -c -vet=off -ldflags=-w -gcflags='github.com/skaldhq/skald/...=-d=libfuzzer' -o "$@"; }
[ "${#folders[@]}" = 0 ] || program "$FUZZ_HOME/" "${folders[@]}"
! grep -q '^\. ' <<<"$list" || program "$FUZZ_HOME/root/" .
xargs -P "$((4 * $(nproc)))" -L 1 bash -c 'set -euo pipefail; fuzz "$@"' fuzz <<<"$list"
