#!/bin/sh
# Install the browser and the virtual display that some tests use; needs Debian or Ubuntu and root.
set -u
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium-driver"
command -v Xvfb >/dev/null 2>&1 || missing="$missing xvfb"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Not installed:$missing. The tests that need them are skipped." >&2
    echo "As root on Debian: apt-get install$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing fonts-dejavu-core >/dev/null || {
    echo "apt-get could not install:$missing. The tests that need them are skipped." >&2
}
exit 0
