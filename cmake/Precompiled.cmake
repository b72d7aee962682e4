# The headers that take the longest to read, read once: a build from nothing takes less than half the
# time. Only headers of libraries stand here, so that what is precompiled does not depend on the
# checkout. clang-tidy and the preset `dev` read every file without them, so that a missing include
# shows.
option(BUNDLE_PRECOMPILE "Precompile headers of libraries" ON)

set(BUNDLE_PRECOMPILED
    <algorithm> <array> <chrono> <cmath> <cstdint> <filesystem> <functional> <map> <memory> <optional>
    <set> <span> <string> <string_view> <utility> <variant> <vector>
    <boost/json.hpp> <boost/system/result.hpp>)

# bundle_precompiled(NAME [EXECUTABLE] [HEADERS <h> …] [LINKS …])
#   Makes a set of precompiled headers for targets to share: the common ones, and HEADERS.
#   EXECUTABLE: for programs.
function(bundle_precompiled NAME)
  cmake_parse_arguments(ARG "EXECUTABLE" "" "HEADERS;LINKS" ${ARGN})
  if(NOT BUNDLE_PRECOMPILE)
    return()
  endif()
  set(source ${PROJECT_BINARY_DIR}/precompiled/${NAME}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "int main() {}\n")
  # A program's objects are compiled otherwise (-fPIE) than a library's (-fPIC).
  if(ARG_EXECUTABLE)
    add_executable(${NAME} ${source})
    set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/precompiled)
  else()
    add_library(${NAME} STATIC ${source})
  endif()
  target_link_libraries(${NAME} PRIVATE ${ARG_LINKS})
  target_precompile_headers(${NAME} PRIVATE ${BUNDLE_PRECOMPILED} ${ARG_HEADERS})
endfunction()

# bundle_use_precompiled(TARGET NAME): compiles TARGET with that set.
function(bundle_use_precompiled TARGET NAME)
  if(BUNDLE_PRECOMPILE)
    target_precompile_headers(${TARGET} REUSE_FROM ${NAME})
    # g++ 12 reports this inside the library's headers when they were precompiled.
    target_compile_options(${TARGET} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>)
  endif()
endfunction()

bundle_precompiled(precompiled_library)
bundle_precompiled(precompiled_program EXECUTABLE)
