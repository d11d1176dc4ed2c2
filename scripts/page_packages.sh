#!/bin/sh
# Install what the tests of pages need (Debian: chromium, fonts-noto-cjk) where this user may; else say what is skipped.
if [ -x /usr/bin/chromium ] && fc-list 2>/dev/null | grep -qi "noto.*cjk"; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  if apt-get update -qq >/dev/null 2>&1 &&
     DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-cjk >/dev/null 2>&1; then
    echo "Installed chromium and fonts-noto-cjk for the tests of pages."
    exit 0
  fi
fi
[ -x /usr/bin/chromium ] || echo "SKIPPED: the tests of pages need Chromium (Debian: apt-get install chromium fonts-noto-cjk)."
exit 0
