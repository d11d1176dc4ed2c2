#!/bin/sh
# Install the PostgreSQL server that the tests of databases start (Debian: postgresql) where this user may; else say what is skipped.
found() { command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
if found; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  if apt-get update -qq >/dev/null 2>&1 &&
     DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null 2>&1; then
    echo "Installed postgresql for the tests of databases."
    exit 0
  fi
fi
found || echo "SKIPPED: the tests of PostgreSQL need its server (Debian: apt-get install postgresql)."
exit 0
