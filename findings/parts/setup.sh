# Sourced by each finding: a folder of its own, and its end.
# Everything a finding installs or writes is under $dir, caches included; what it starts is ended by its process id.
set -euo pipefail
parts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(mktemp -d)
started=()

leave() {
  local code=$?
  trap - EXIT
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$dir"
  exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM

# start LOG COMMAND...: runs COMMAND in the background until the end of the script.
start() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  started+=($!)
}

# first_line LOG: waits up to 60 s for the first line of LOG and prints it (a server says its port there).
first_line() {
  for _ in $(seq 600); do
    if [ -s "$1" ]; then head -n 1 "$1"; return; fi
    sleep 0.1
  done
  echo "nothing in $1 after 60 s" >&2
  return 2
}

# seen TEXT FILE: the behaviour is as described only if FILE has a line with TEXT.
seen() {
  grep -aqF -- "$1" "$2" && return
  echo "changed: expected \"$1\", got:" >&2
  cat "$2" >&2
  exit 1
}

# not_seen TEXT FILE: and only if FILE has no line with TEXT.
not_seen() {
  grep -aqF -- "$1" "$2" || return 0
  echo "changed: \"$1\" was not expected, got:" >&2
  cat "$2" >&2
  exit 1
}

python_packages() {
  python3 -m venv "$dir/venv"
  "$dir/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check "$@"
}

# Debian packages are unpacked, not installed.
debian_packages() {
  (cd "$dir" && apt-get -o APT::Sandbox::User=root download "$@" >/dev/null)
  for package in "$dir"/*.deb; do dpkg -x "$package" "$dir/debian"; done
  debian_libraries=$dir/debian/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)
}

npm_packages() {
  (cd "$dir" && npm install --silent --no-audit --no-fund --cache "$dir/npm" "$@" >/dev/null)
}

# go_program NAME MODULE@VERSION...: builds $dir/NAME.go.
go_program() {
  local name=$1
  shift
  export GOPATH=$dir/go GOCACHE=$dir/go-cache GOFLAGS=-modcacherw
  mkdir "$dir/$name.d"
  mv "$dir/$name.go" "$dir/$name.d/main.go"
  (cd "$dir/$name.d" && go mod init "$name" && go get "$@" && go mod tidy && go build -o "$dir/$name" .) >"$dir/go.log" 2>&1 \
    || { cat "$dir/go.log" >&2; exit 2; }
}

# jars GROUP:NAME:VERSION...: fetches them and what they need into $dir/jars.
jars() {
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>finding</groupId><artifactId>finding</artifactId><version>1</version><dependencies>'
    local group name version
    for jar in "$@"; do
      IFS=: read -r group name version <<<"$jar"
      echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId><version>$version</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$dir/pom.xml"
  (cd "$dir" && mvn -q -B -Dmaven.repo.local="$dir/m2" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory="$dir/jars") >"$dir/mvn.log" 2>&1 \
    || { cat "$dir/mvn.log" >&2; exit 2; }
}

# cargo_program NAME DEPENDENCY...: builds $dir/NAME.rs; a DEPENDENCY is a line of Cargo.toml's [dependencies].
cargo_program() {
  local name=$1
  shift
  mkdir -p "$dir/$name.d/src"
  mv "$dir/$name.rs" "$dir/$name.d/src/main.rs"
  {
    printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n' "$name"
    printf '%s\n' "$@"
    printf '[workspace]\n'
  } >"$dir/$name.d/Cargo.toml"
  (cd "$dir/$name.d" && CARGO_HOME=$dir/cargo CARGO_TARGET_DIR=$dir/$name.target cargo build --quiet) >"$dir/cargo.log" 2>&1 \
    || { cat "$dir/cargo.log" >&2; exit 2; }
  mv "$dir/$name.target/debug/$name" "$dir/$name"
}
