# libbundle_cuda.so is built where nvcc 13 is found; nothing else needs CUDA. nvcc is called by rules
# of our own: CMake's CUDA language would give every compile option of the C++ side to nvcc, and
# hides what ptxas says of registers and spills, which a test reads.
set(BUNDLE_CUDA AUTO CACHE STRING "Build the CUDA backend: ON (nvcc 13 must be there), OFF, or AUTO")
set(BUNDLE_CUDA_ARCHITECTURES "90a" CACHE STRING
    "GPU architectures of the CUDA backend: some of 80, 89, 90a, 100a, and 80-ptx for newer ones")
set(BUNDLE_NVCC "")
if(BUNDLE_CUDA)
  find_program(BUNDLE_NVCC_PROGRAM nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
  set(nvcc_says "")
  if(BUNDLE_NVCC_PROGRAM)
    execute_process(COMMAND ${BUNDLE_NVCC_PROGRAM} --version OUTPUT_VARIABLE nvcc_says ERROR_QUIET)
  endif()
  if(nvcc_says MATCHES "release 1[3-9]\\.")
    set(BUNDLE_NVCC ${BUNDLE_NVCC_PROGRAM})
  elseif(BUNDLE_CUDA STREQUAL "AUTO")
    message(STATUS "libbundle_cuda.so is left out: no nvcc 13 is here")
  else()
    message(FATAL_ERROR "BUNDLE_CUDA needs nvcc: install the CUDA toolkit 13, or set CUDA_HOME")
  endif()
endif()

# Makes BUNDLE_CUDA_ARCHITECTURES nvcc's options.
function(bundle_cuda_targets RESULT)
  set(options "")
  foreach(architecture ${BUNDLE_CUDA_ARCHITECTURES})
    if(architecture MATCHES "^([0-9]+)-ptx$")
      set(number ${CMAKE_MATCH_1})
      list(APPEND options -gencode=arch=compute_${number},code=compute_${number})
    else()
      list(APPEND options -gencode=arch=compute_${architecture},code=sm_${architecture})
    endif()
  endforeach()
  set(${RESULT} ${options} PARENT_SCOPE)
endfunction()

# bundle_cuda_library(NAME SOURCES a.cu …): lib<NAME>.so in build/<preset>/lib. Beside each object
# lies <source>.ptxas with the registers and spills of its kernels.
function(bundle_cuda_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  bundle_cuda_targets(targets)
  # Symbols of CUDA's runtime, which is linked in, stay inside too.
  set(flags -std=c++20 -O3 --expt-relaxed-constexpr -I${PROJECT_SOURCE_DIR} ${targets} -Xptxas=-v
            "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall")
  set(objects "")
  foreach(source ${ARG_SOURCES})
    get_filename_component(stem ${source} NAME_WE)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${NAME}/${stem}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${PROJECT_SOURCE_DIR}/cmake/run_nvcc.sh ${object} ${CCACHE} ${BUNDLE_NVCC} ${flags}
              -MD -MT ${object} -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source} ${PROJECT_SOURCE_DIR}/cmake/run_nvcc.sh
      DEPFILE ${object}.d
      COMMENT "Building CUDA object ${source}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  # The toolkit as PyPI has it keeps its libraries where its own nvcc does not look.
  get_filename_component(toolkit ${BUNDLE_NVCC} DIRECTORY)
  set(library ${PROJECT_BINARY_DIR}/lib/lib${NAME}.so)
  add_custom_command(
    OUTPUT ${library}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/lib
    COMMAND ${BUNDLE_NVCC} -shared ${targets} -L${toolkit}/../lib ${objects} -o ${library}
            -Xlinker=--exclude-libs=ALL,-z,defs,-soname,lib${NAME}.so -lpthread -ldl -lrt
    DEPENDS ${objects}
    VERBATIM)
  add_custom_target(${NAME} ALL DEPENDS ${library})
endfunction()
