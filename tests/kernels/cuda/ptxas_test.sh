#!/usr/bin/env bash
# What the assembler said of every kernel of libbundle_cuda.so: none may spill registers or keep
# variables in local memory, and each stays within the registers that its threads need to share a
# multiprocessor.
#   ptxas_test.sh FOLDER    the folder with the *.ptxas files
set -euo pipefail
shopt -s nullglob
files=("${1:?usage: ptxas_test.sh FOLDER}"/*.ptxas)
[ ${#files[@]} -gt 0 ] || { echo "no .ptxas files in $1" >&2; exit 1; }
awk '
  /Compiling entry function/ { split($0, part, "\x27"); kernel = part[2]; kernels++ }
  /bytes stack frame/ {
    stack = $1
    for (i = 1; i <= NF; i++) if ($i == "spill" && $(i + 1) ~ /^(stores|loads)/) spilled += $(i - 2)
    if (stack > 0 || spilled > 0) { print "spills or stack: " kernel ": " $0; bad++ }
    spilled = 0
  }
  /Used [0-9]+ registers/ {
    for (i = 1; i <= NF; i++) if ($i == "Used") registers = $(i + 1)
    if (registers > most) { most = registers; by = kernel }
    # 256 threads of a product share a multiprocessor with 256 others: 65536 / 512. Those of
    # attention do for all but the largest heads and groups.
    limit = kernel ~ /multiply_rows/ && kernel !~ /WeightKindE0E|Li8E/ ? 128 : kernel ~ /attend_group.*Li(64ELi[12]|128ELi1)E/ ? 128 : kernel ~ /multiply_tiles/ && kernel !~ /WeightKindE0E/ ? 168 : 255
    if (registers > limit) { print "registers: " kernel ": " registers; bad++ }
  }
  END {
    print kernels " kernels, at most " most " registers (" by ")"
    if (kernels < 50 || bad > 0) exit 1
  }' "${files[@]}"
