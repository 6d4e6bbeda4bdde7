# Debian packages of polysocket, by what they are needed for, and functions that
# install those that are missing. Read by scripts/check and scripts/demo.
# shellcheck shell=sh disable=SC2034

build_packages="gcc make autoconf automake pkg-config libc6-dev libfcgi-dev
	libwebsockets-dev libwebsockets-evlib-uv libuv1-dev libjson-c-dev
	libsqlite3-dev libssl-dev libcurl4-openssl-dev zlib1g-dev"
run_packages="python3 python3-websockets sqlite3 lighttpd apache2-bin php-cgi
	php-sqlite3"
check_packages="clang libclang-rt-dev libcmocka-dev spawn-fcgi curl openssl
	xz-utils python3-jsonschema python3-pytest python3-pytest-xdist
	python3-yaml chromium"

# install_missing PACKAGE...: does nothing where there is no dpkg.
install_missing() {
	command -v dpkg-query >/dev/null || return 0
	missing=
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
			grep -qx installed || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	echo "installing$missing" >&2
	as_root=
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	$as_root apt-get update || return
	# shellcheck disable=SC2086 # a list of names
	$as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $missing
}

# fetch_program PACKAGE PATH DIRECTORY: puts one file of a package into a
# directory, without installing the package or what it depends on.
fetch_program() {
	[ ! -x "$3/${2##*/}" ] || return 0
	mkdir -p "$3" || return
	(cd "$3" && apt-get download "$1" &&
		dpkg-deb --fsys-tarfile "$1"_*.deb | tar -xO "./$2" >"${2##*/}.new" &&
		chmod +x "${2##*/}.new" && mv "${2##*/}.new" "${2##*/}"
	status=$?
	rm -f "$1"_*.deb "${2##*/}.new"
	exit $status)
}

# install_node_modules DIRECTORY: what tests/node/package.json says, in the
# versions of its lock. No program of a package is run for it.
install_node_modules() {
	command -v npm >/dev/null || install_missing nodejs npm || return
	! cmp -s tests/node/package-lock.json "$1/package-lock.json" ||
		[ ! -d "$1/node_modules" ] || return 0
	mkdir -p "$1" || return
	cp tests/node/package.json tests/node/package-lock.json "$1" || return
	npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund && return
	rm -rf "$1/node_modules"
	return 1
}
