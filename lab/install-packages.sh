#!/bin/sh
# Install Debian packages that are missing, without starting any of their services: the lab's, or
# those of the list that the first argument names.
set -eu
list=${1:-"$(dirname "$0")/packages.txt"}
missing=""
for package in $(cat "$list"); do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' \
    || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "missing packages:$missing (run as root to install them)" >&2; exit 1; }
echo "installing:$missing"

# Debian starts a service as soon as its package is installed, unless this script says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing
