#!/usr/bin/env bash
# Static checks over all modules. Arguments name the checks, in order:
#
#   format   every Go file is as gofmt writes it, and bash can read every script
#   lint     golangci-lint with the rules of .golangci.yml, each module by itself; all that go vet looks for is among them
#   tidy     go.mod of each module says exactly what its code needs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LINTER_VERSION=2.15.0
readonly LINTER_HOME=${XDG_CACHE_HOME:-$HOME/.cache}/skald/bin
readonly LINTER=$LINTER_HOME/golangci-lint

# in_each_module runs a command in every module that has packages, without the workspace: so each module is seen
# as its users see it, with its own requirements.
in_each_module() {
	local module packages failed=''
	for module in . examples bench; do
		if ! packages=$(cd "$module" && GOWORK=off go list -e ./...); then
			failed+=" $module"
		elif [ -n "$packages" ]; then
			(cd "$module" && GOWORK=off "$@") || failed+=" $module"
		fi
	done
	[ -z "$failed" ] || { echo "failed in:$failed" >&2; return 1; }
}

check_format() {
	local unformatted script
	for script in scripts/*.sh .ci/run; do
		bash -n "$script" || { echo "bash cannot read $script" >&2; return 1; }
	done
	unformatted=$(git ls-files -z --cached --others --exclude-standard -- '*.go' | xargs -0r gofmt -l)
	[ -z "$unformatted" ] || { printf 'not formatted (mend: gofmt -w):\n%s\n' "$unformatted" >&2; return 1; }
}

# The linter is built from source once, outside the tree. It is never a tool of a module: its own requirements
# would then choose the versions of ours.
install_linter() {
	if "$LINTER" version 2>/dev/null | grep -qF "version $LINTER_VERSION "; then
		return
	fi
	echo "building golangci-lint $LINTER_VERSION into $LINTER_HOME (once; takes some minutes)"
	(cd / && GOWORK=off GOFLAGS= CGO_ENABLED=0 GOBIN=$LINTER_HOME \
		go install -ldflags=-w "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$LINTER_VERSION")
}

check_lint() {
	install_linter
	in_each_module "$LINTER" run --config="$PWD/.golangci.yml" ./...
}

# Tidying also wants checksums that only tests of dependencies need: -e goes on without them, and only go.mod is
# compared. A checksum that is missing in go.sum stops the build itself.
tidy_module() {
	local difference status=0
	difference=$(go mod tidy -e -diff 2>/dev/null) || status=$?
	if grep -q '^diff current/go.mod ' <<<"$difference"; then
		sed -n '/^diff current\/go.mod /,/^diff current\/go.sum /p' <<<"$difference"
		echo 'Mend: go mod tidy (with -e where checksums are missing that only tests of dependencies need)' >&2
		return 1
	fi
	# Neither a difference nor success: tidy could not work at all. Say why.
	[ "$status" = 0 ] || [ -n "$difference" ] || { go mod tidy -e -diff; return 1; }
}

check_tidy() { in_each_module tidy_module; }

for check in "${@:-lint}"; do
	"check_$check"
done
