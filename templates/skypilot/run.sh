set -eu
chmod -R a+rX /tmp/bundle/runtime
find /tmp/bundle/runtime \( -path '*/bin/*' -o -name 'ld-linux*' \) -exec chmod 0755 {} +
exec {{ command }}
