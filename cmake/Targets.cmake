# bundle_library(NAME SOURCES a.cc … LINKS base … [PRECOMPILED set])
#   The static library of one folder. LINKS names what its sources may use and nothing else does:
#   links are private, so an arrow that is missing here fails to link.
function(bundle_library NAME)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;LINKS" ${ARGN})
  add_library(${NAME} STATIC ${ARG_SOURCES})
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${NAME} PRIVATE ${ARG_LINKS})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED precompiled_library)
  endif()
  bundle_use_precompiled(${NAME} ${ARG_PRECOMPILED})
endfunction()

# bundle_program(NAME SOURCES a.cc … LINKS … [PRECOMPILED set]): an executable in build/<preset>/bin.
function(bundle_program NAME)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;LINKS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${NAME} PRIVATE ${ARG_LINKS})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED precompiled_program)
  endif()
  bundle_use_precompiled(${NAME} ${ARG_PRECOMPILED})
endfunction()

# bundle_test(NAME SOURCES a_test.cc … LINKS … [LABELS unit])
#   One GoogleTest program; every TEST becomes a ctest of its own.
function(bundle_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  bundle_program(${NAME} SOURCES ${ARG_SOURCES} LINKS ${ARG_LINKS} GTest::gtest GTest::gmock
                 GTest::gtest_main PRECOMPILED precompiled_test)
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_definitions(${NAME} PRIVATE BUNDLE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                             BUNDLE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${NAME} COMMAND ${NAME} --gtest_brief=1)
  # testing::TempDir(): not /tmp, where another user or checkout may have left the same names.
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tests/tmp)
  set_tests_properties(${NAME} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT}
                                          ENVIRONMENT TEST_TMPDIR=${PROJECT_BINARY_DIR}/tests/tmp)
endfunction()
