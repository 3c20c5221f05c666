#!/usr/bin/env bash
# Makes a machine ready for Skald.
#
#   scripts/setup.sh go      checks that a usable Go is there (enough for `make run`)
#   scripts/setup.sh generate  the same, and a usable Node, which builds the console's pages
#   scripts/setup.sh tests   the same as go, and installs the programs that the tests drive
#
# Installing needs root and apt-get (Debian, Ubuntu). Where that is not possible the script says what is missing
# and goes on: the tests concerned skip with their reason, and with CI=true a skip fails the run.
# No service is started or left running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say()  { printf 'setup: %s\n' "$*"; }
loud() { printf '\nsetup: ***** %s\n' "$*" >&2; }

check_go() {
	if ! command -v go >/dev/null 2>&1; then
		loud 'Go is not installed, or not in PATH. Skald needs Go 1.26 or newer: https://go.dev/doc/install'
		exit 1
	fi
	# Inside the repository this also checks the version: an older Go fetches the toolchain that go.mod
	# asks for, or says why it cannot.
	if ! go env GOVERSION >/dev/null; then
		loud 'This Go cannot build Skald (see the message above). Install Go 1.26 or newer: https://go.dev/doc/install'
		exit 1
	fi
}

# Node is not installed here: what distributions have is often too old, and everybody who has one has a way of having it.
has_node() { command -v npm >/dev/null 2>&1 && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }

check_node() {
	if ! has_node; then
		loud "building the console's pages needs Node 20.19 or newer with npm, in PATH: https://nodejs.org/en/download. Here is: $(node --version 2>/dev/null || echo none)"
		exit 1
	fi
}

# One line per program: what to look for | Debian package | what is not tested without it.
# `pg:` means: in PATH or where Debian puts PostgreSQL's server programs.
needs() {
	cat <<'EOF'
chromium   | chromium      | the shop page in a real browser
prometheus | prometheus    | scraping, and the queries of the dashboard
promtool   | prometheus    | the alert rules
pdftotext  | poppler-utils | what the PDF of a receipt says
strace     | strace        | faults that are injected into system calls
curl       | curl          | the commands of docs/api.md
jq         | jq            | the commands of docs/api.md
sqlite3    | sqlite3       | the backup of docs/operations.md
node       | nodejs        | the service in JavaScript of the drone system, alone and among the programs that are killed
pg:initdb  | postgresql-15 | participants on PostgreSQL
EOF
}

present() {
	case "$1" in
	pg:*) command -v "${1#pg:}" >/dev/null 2>&1 || compgen -G "/usr/lib/postgresql/*/bin/${1#pg:}" >/dev/null ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# for_each_missing calls "$1" program package purpose for each need that the machine lacks.
for_each_missing() {
	local program package purpose
	while IFS='|' read -r program package purpose; do
		program=$(echo $program) package=$(echo $package) purpose=${purpose# }
		[ -n "$program" ] || continue
		present "$program" || "$1" "$program" "$package" "$purpose"
	done < <(needs)
}

print_package() { echo "$2"; }
print_missing() { loud "missing: ${1#pg:} (Debian package $2). Not tested without it: $3."; }

forbid_service_starts() {
	# Debian's packages start their services when installed; policy-rc.d is Debian's own way to say no.
	[ -e /usr/sbin/policy-rc.d ] && return
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

install_packages() {
	say "installing with apt-get: $*"
	export DEBIAN_FRONTEND=noninteractive
	local options=(-qq -o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30)
	forbid_service_starts
	apt-get "${options[@]}" update || loud 'apt-get update failed; trying with the package lists that are there'
	if ! apt-get "${options[@]}" -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "$@" >/dev/null; then
		loud "apt-get could not install: $*"
	fi
	keep_services_off "$@"
}

# A package that was just installed must not start its service at the next boot either.
keep_services_off() {
	command -v systemctl >/dev/null 2>&1 || return 0
	local package
	for package in "$@"; do
		case "$package" in
		prometheus) systemctl disable prometheus.service >/dev/null 2>&1 || true ;;
		postgresql-15) systemctl disable postgresql.service >/dev/null 2>&1 || true ;;
		esac
	done
}

# The checker of the console's accessibility is one of the packages that build it.
install_axe() {
	[ console/web/node_modules/.package-lock.json -nt console/web/package-lock.json ] && return
	if ! has_node || ! npm --prefix console/web ci --ignore-scripts >/dev/null; then
		loud 'missing: axe-core, which npm installs. Not tested without it: whether the console is accessible. Mend: npm --prefix console/web ci --ignore-scripts'
	fi
}

prepare_tests() {
	local packages
	mapfile -t packages < <(for_each_missing print_package | sort -u)
	if [ "${#packages[@]}" -gt 0 ]; then
		if [ "$(id -u)" != 0 ]; then
			loud "not root, so nothing is installed. Run: sudo apt-get install --no-install-recommends ${packages[*]}"
		elif ! command -v apt-get >/dev/null 2>&1; then
			loud 'no apt-get here, so nothing is installed. Install the programs below by hand and put them in PATH.'
		else
			install_packages "${packages[@]}"
		fi
	fi
	install_axe
	for_each_missing print_missing
	[ "${#packages[@]}" -gt 0 ] || say 'everything the tests need is here'
}

case "${1:-}" in
go) check_go ;;
generate) check_go && check_node ;;
tests) check_go && prepare_tests ;;
*)
	echo "usage: $0 go|generate|tests" >&2
	exit 2
	;;
esac
