#!/bin/sh
# run_nvcc.sh OBJECT COMMAND…: compiles, and keeps what the assembler says in OBJECT.ptxas. Anything
# else on standard error is printed.
object=$1
shift
mkdir -p "$(dirname "$object")"
"$@" 2>"$object.ptxas"
code=$?
[ $code = 0 ] || cat "$object.ptxas" >&2
exit $code
