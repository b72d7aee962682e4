#!/usr/bin/env bash
# The instructions of libbundle_cuda.so's kernels for sm_90a: each has those that it is written for,
# and none keeps variables in local memory.
#   sass_test.sh LIBRARY TOOLS    TOOLS: where scripts/cuda-tools puts cuobjdump
set -euo pipefail
library=${1:?usage: sass_test.sh LIBRARY TOOLS}
tool=$(command -v cuobjdump || ls /usr/local/cuda/bin/cuobjdump "$2"/lib/python3*/site-packages/nvidia/cu13/bin/cuobjdump 2>/dev/null | head -1 || true)
if [ -z "$tool" ]; then
  echo "sass_test: no cuobjdump is here; scripts/cuda-tools fetches it" >&2
  exit 1
fi
"$tool" -sass -arch sm_90a "$library" | awk '
  function need(kernels, instruction, why) { rule++; of[rule] = kernels; wants[rule] = instruction; text[rule] = why }
  function close_kernel(  i) {
    if (kernel == "") return
    count++
    for (i = 1; i <= rule; i++) {
      if (kernel !~ of[i]) continue
      used[i]++
      if (!has[i]) { print kernel ": no " wants[i] ": " text[i]; bad++ }
    }
    if (local) { print kernel ": keeps variables in local memory"; bad++ }
  }
  BEGIN {
    need(".", "ACQBULK", "it waits for the kernel before (programmatic dependent launch)")
    need("multiply_few", "HMMA[.]16816[.]F32[.]BF16", "tensor cores")
    need("multiply_few|multiply_wide", "LDGSTS[.]E[.]BYPASS[.]128", "weights are copied to shared memory while others are multiplied")
    need("multiply_wide", "HGMMA", "tensor cores that read shared memory themselves")
    need("multiply_(few|wide).*WeightKindE3E", "HMUL2[.]BF16", "8-bit floats are widened by their bits")
    need("multiply_rows", "LDG[.]E[.]EF.*128", "weights are streamed, 16 bytes a load")
    need("multiply_tiles|attend_tiles|attend_latent_tiles", "HMMA[.]16816[.]F32[.]BF16", "tensor cores")
    need("multiply_(rows|tiles).*(WeightKindE3E|UnscaledReader)", "E4M3", "8-bit floats are widened in one instruction")
    need("attend_latent_tiles", "LDGSTS[.]E[.]BYPASS[.]128", "latents are copied to shared memory while others are multiplied")
    need("attend_latent_tiles", "LDSM[.]16[.]M88[.]4", "keys, four matrices a load")
    need("attend_latent_tiles", "LDSM[.]16[.]MT88[.]4", "values, transposed on the way")
    need("attend_group.*CacheTypeE[12]E", "LDG[.]E([.][A-Z]*)*[.]128", "keys and values, 16 bytes a load")
    need("attend_group.*CacheTypeE3E", "LDG[.]E([.][A-Z]*)*[.]64", "keys and values of 8 bits, 8 bytes a load")
    need("attend_group.*CacheTypeE3E", "E4M3", "8-bit floats are widened in one instruction")
    need("attend_group.*CacheTypeE2E", "HMMA[.]16816[.]F32[.]BF16", "tensor cores")
    need("attend_group.*CacheTypeE[13]E", "HMMA[.]16816[.]F32[^.]", "tensor cores, in half precision")
    need("attend_group", "PRMT", "pairs of positions are made in one instruction")
    need("attend_(span|group|latents|tiles|latent_tiles)", "MUFU[.]EX2", "the exponential of the hardware")
    need("multiply_rows|attend_latents", "FFMA", "fused products")
  }
  /Function : / { close_kernel(); kernel = $NF; local = 0; delete has; next }
  / [LS][DT]L([. ]|$)/ { local = 1 }
  { for (i = 1; i <= rule; i++) if ($0 ~ wants[i]) has[i] = 1 }
  END {
    close_kernel()
    for (i = 1; i <= rule; i++) if (!used[i]) { print "no kernel is named " of[i]; bad++ }
    print count " kernels, " rule " rules"
    exit count < 50 || bad > 0
  }'
