#!/usr/bin/env bash
# Install the Debian packages that tests use, when root; otherwise say what is missing. Never fails:
# a test whose package is absent skips with the reason.
set -u
packages=(chromium postgresql fonts-dejavu-core
  softhsm2 libnss3-tools opencryptoki swtpm libtpm2-pkcs11-1 tpm2-abrmd libtss2-tcti-tabrmd0 dbus-daemon p11-kit p11-kit-modules opensc)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "tests will skip what needs these Debian packages: ${missing[*]} (install them, or run as root)" >&2
  exit 0
fi
echo "installing Debian packages for the tests: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
  echo "could not install ${missing[*]}: the tests that need them will skip" >&2
exit 0
