#!/usr/bin/env bash
# Runs a test program for `go test -exec`. Those that only compute, for minutes, give way to those that wait for processes, disks and browsers, and have time limits.
case $1 in
*/skaldtest.test | */machine.test) exec nice -n 10 "$@" ;;
*) exec "$@" ;;
esac
