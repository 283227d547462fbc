#!/usr/bin/env bash
# Builds, tests and shows the suite; see usage below. Needs Go and git only.
set -euo pipefail
umask 022
cd "$(dirname "$0")"

usage() {
	cat <<'EOT'
usage: ./build.sh [COMMAND]
  build (default)  build everything into bin/, plugins into bin/plugins/
  demo [ARGS]      run the main job on simulators and check its outcome
                   (--sabotage NAME breaks it on purpose: it must then fail)
  run              leave what demo shows running, until interrupted
  test             pass all tests (TEST_STRICT=1: a skip or a missing race detector fails)
  nightly          what needs real time or repetition: kill loops, long fuzzing,
                   mutants, packages made twice, sabotage
  bench            print figures, beside those of peers
  generate         regenerate content.go and the other generated files
  dist [DIR]       archives and Debian packages for Linux on amd64 and arm64, with
                   their checksums, into DIR (default dist/): the same commit gives
                   the same bytes
EOT
}

# The version is the nearest tag, else a development version with the commit.
version() {
	git describe --tags --match 'v*' 2>/dev/null ||
		echo "v0.0.0-dev+g$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
}

# A plugin is a top-level folder with a content folder and a main.go.
plugins() {
	local dir
	for dir in */content; do
		dir=${dir%/content}
		[ -f "$dir/main.go" ] && echo "$dir"
	done
}

# compile OUTPUT PACKAGE
compile() {
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(version)" -o "$1" "$2"
}

build() {
	mkdir -p bin/plugins
	chmod 0755 bin bin/plugins
	compile bin/oob ./oob
	compile bin/contents ./tools/contents
	compile bin/demo ./tools/demo
	local name
	for name in $(plugins); do
		compile "bin/plugins/.$name" "./$name"
		chmod 0755 "bin/plugins/.$name"
		mv "bin/plugins/.$name" "bin/plugins/$name"
	done
}

# dist [DIR] packs for each architecture. Nothing of this machine goes in: paths are
# trimmed, times are the commit's.
dist() {
	local out=${1:-dist} arch name work
	mkdir -p "$out"
	rm -f "$out"/oob[-_]*.tar.gz "$out"/oob_*.deb "$out/SHA256SUMS"
	work=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$work'" EXIT
	local epoch=${SOURCE_DATE_EPOCH:-}
	[ -n "$epoch" ] || epoch=$(git log -1 --format=%ct)
	compile "$work/oob" ./oob
	compile "$work/dist" ./tools/dist
	for name in bash zsh fish; do
		"$work/oob" completion "$name" >"$work/oob.$name"
	done
	for arch in amd64 arm64; do
		mkdir -p "$work/$arch/plugins"
		GOOS=linux GOARCH=$arch compile "$work/$arch/oob" ./oob
		for name in $(plugins); do
			GOOS=linux GOARCH=$arch compile "$work/$arch/plugins/$name" "./$name"
		done
		"$work/dist" --bin "$work/$arch" --completions "$work" --out "$out" --arch "$arch" --version "$(version)" --epoch "$epoch"
	done
	"$work/dist" --sums --out "$out"
	cat "$out/SHA256SUMS"
}

# reproducible packs from two clones, in folders of other names and with caches of
# their own, and compares the checksums.
reproducible() {
	local work one
	work=$(mktemp -d)
	git clone -q . "$work/a"
	git clone -q "$work/a" "$work/another"
	for one in a another; do
		(cd "$work/$one" && GOCACHE="$work/cache-$one" ./build.sh dist >/dev/null)
	done
	if diff "$work/a/dist/SHA256SUMS" "$work/another/dist/SHA256SUMS"; then
		echo "dist: two clones give the same $(wc -l <"$work/a/dist/SHA256SUMS") packages"
	else
		echo "dist: two clones give different packages" >&2
		rm -rf "$work"
		return 1
	fi
	rm -rf "$work"
}

# The race detector needs cgo and a C compiler.
race_flag() {
	if [ "$(CGO_ENABLED=1 go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; then
		echo -race
	elif [ "${TEST_STRICT:-}" = 1 ]; then
		echo "no C compiler: the race detector is missing, and TEST_STRICT=1 asks for it" >&2
		return 1
	else
		echo "no C compiler: testing without the race detector" >&2
	fi
}

# failed_output keeps of `go test -v`'s output the last lines of each package that
# failed: a package's output ends with its verdict.
failed_output() {
	awk -v keep=300 '
		/^[[:space:]]*(=== |--- PASS)/ { next }
		/^(ok|\?) / || /^(ok|\?)\t/ { n = 0; next }
		{ line[n++] = $0 }
		/^FAIL\t/ || /^FAIL .*\[/ {
			for (i = n > keep ? n - keep : 0; i < n; i++) print line[i]
			n = 0
		}
		END { for (i = n > keep ? n - keep : 0; i < n; i++) print line[i] }'
}

run_tests() {
	local race log status=0
	race=$(race_flag)
	log=$(mktemp)
	[ -z "$race" ] || export CGO_ENABLED=1
	# A process under the race detector would sleep a second at its end.
	export GORACE=${GORACE:-atexit_sleep_ms=0}
	# shellcheck disable=SC2086 # an empty race flag must vanish
	go test $race -timeout 60m -v "$@" ./... >"$log" 2>&1 || status=$?
	grep -E '^(ok|FAIL|--- FAIL|panic:|WARNING: DATA RACE)|^[[:space:]]+--- FAIL' "$log" || true
	# A figure is a log line of a test that begins with a number.
	[ -z "${OOB_NIGHTLY:-}" ] || grep -E '^[[:space:]]+[a-z_]+_test\.go:[0-9]+: [0-9]' "$log" || true
	local skips
	skips=$(grep -E '^[[:space:]]*--- SKIP' "$log" || true)
	if [ "$status" != 0 ]; then
		echo "--- output of what failed"
		failed_output <"$log"
	elif [ -n "$skips" ]; then
		echo "$skips"
		if [ "${TEST_STRICT:-}" = 1 ]; then
			echo "TEST_STRICT=1: no test may skip" >&2
			status=1
		fi
	fi
	rm -f "$log"
	return "$status"
}

# mutants [NAME...] breaks one line of the suite at a time; a test must fail.
mutants() {
	compile bin/mutants ./tools/mutants/cmd
	bin/mutants "$@"
}

# fuzz_one FOLDER TARGET TIME fuzzes one target, and prints how many inputs it took.
fuzz_one() {
	local log status=0
	log=$(mktemp)
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 1s "./$1" >"$log" 2>&1 || status=$?
	# The go command at times reports the end of the time itself as a failure: of
	# the target only if an input is told.
	if [ "$status" != 0 ] && grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input' "$log"; then
		status=0
	fi
	echo "fuzz $1 $2 $3: $(grep -E '^fuzz: elapsed.*execs' "$log" | tail -n 1 | sed 's/^fuzz: //')"
	[ "$status" = 0 ] || grep -v '^fuzz: elapsed' "$log"
	rm -f "$log"
	return "$status"
}

nightly() {
	local fuzztime=${FUZZTIME:-60s} file target failed=0
	OOB_NIGHTLY=1 run_tests -count=1 || failed=1
	while IFS=: read -r file target; do
		target=${target#func }
		target=${target%%(*}
		fuzz_one "$(dirname "$file")" "$target" "$fuzztime" || failed=1
	done < <(git grep -E '^func Fuzz[A-Za-z0-9_]+\(' -- '*_test.go')
	mutants || failed=1
	reproducible || failed=1
	build
	local name status
	for name in $(bin/demo --list-sabotage); do
		status=0
		bin/demo --sabotage "$name" || status=$?
		echo "sabotage $name: exit $status (1 is right)"
		[ "$status" = 1 ] || failed=1
	done
	return "$failed"
}

command=${1:-build}
[ $# = 0 ] || shift
case "$command" in
build) build ;;
demo)
	build
	exec bin/demo "$@"
	;;
run)
	build
	exec bin/demo --keep "$@"
	;;
test)
	run_tests "$@"
	# Of the mutants only some that take seconds; nightly has all.
	mutants accept-old-sequence hostlist-padding secret-name-missed
	;;
nightly) nightly ;;
bench)
	build
	compile bin/bench ./tools/bench
	exec bin/bench "$@"
	;;
generate) go generate ./... ;;
dist) dist "$@" ;;
help | -h | --help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
