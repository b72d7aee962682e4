#!/bin/sh
# isa_symbols_test.sh OBJECT…
# Objects with instructions of one ISA must not define anything that the linker merges with the same
# name elsewhere: a shared inline function compiled with AVX-512 would then run on every machine.
# Allowed are names in a namespace of one ISA (mangled: 4avx2, 6avx512, 10avx512bf16), and data.
bad=$(nm "$@" | awk '$2 ~ /^[Wu]$/ && $3 !~ /(4avx2|6avx512|10avx512bf16)/ {print $3}' | sort -u)
[ -z "$bad" ] && exit 0
echo "functions that the linker may share:"
echo "$bad"
exit 1
