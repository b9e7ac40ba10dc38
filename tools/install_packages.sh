#!/usr/bin/env bash
# Installs what building and running need, on Debian 12 or newer, as root or through sudo. Quick when all is there.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config ccache python3 python3-pip unzip xz-utils ca-certificates
  nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libfmt-dev libpcre2-dev libutf8proc-dev libhwy-dev
  libplplot-dev plplot-driver-cairo fonts-dejavu-core fonts-vlgothic "$@")

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "error: these packages are missing and there is neither root nor sudo to install them: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
command -v apt-get >/dev/null || {
  echo "error: this script installs with apt-get, which is not here; please install by hand: ${missing[*]}" >&2
  exit 1
}
echo "Installing: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
