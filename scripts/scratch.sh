#!/usr/bin/env bash
# Makes a folder for the files that tests write, and prints its path. It lies in memory if there is room: hundreds of databases that sync every commit would wait for a disk
# most of the time. That takes nothing away from what the tests show: they kill processes, and what a process has written survives it in memory as it does on disk. What loses power is tested by models, and
# full disks are file systems that the tests make for themselves.
set -euo pipefail
least=$((4 * 1024 * 1024)) # KiB
room=0
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
	room=$(df --output=avail /dev/shm | tail -1 | tr -d ' ')
fi
folder=
if [ "$room" -ge "$least" ]; then
	folder=$(mktemp -d /dev/shm/skald.XXXXXX)
	printf '#!/bin/sh\n' >"$folder/runs" && chmod 755 "$folder/runs"
	if ! "$folder/runs" 2>/dev/null; then # no programs may run from there, and tests build some
		rm -rf "$folder"
		folder=
	else
		rm "$folder/runs"
	fi
fi
if [ -z "$folder" ]; then
	folder=$(mktemp -d)
fi
chmod 755 "$folder" # PostgreSQL refuses to run as root, so somebody else has to get in
printf '%s\n' "$folder"
