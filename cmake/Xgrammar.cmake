# XGrammar, which turns JSON schemas, regular expressions and grammars into token masks. Built from
# its source package, which scripts/fetch-xgrammar puts into build/deps.
execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/fetch-xgrammar
                OUTPUT_VARIABLE XGRAMMAR_SOURCE OUTPUT_STRIP_TRAILING_WHITESPACE
                RESULT_VARIABLE XGRAMMAR_FETCHED)
if(NOT XGRAMMAR_FETCHED EQUAL 0)
  message(FATAL_ERROR "scripts/fetch-xgrammar failed: it needs PyPI, or build/deps from elsewhere.")
endif()

file(GLOB_RECURSE XGRAMMAR_SOURCES ${XGRAMMAR_SOURCE}/cpp/*.cc)
list(FILTER XGRAMMAR_SOURCES EXCLUDE REGEX "/cpp/tvm_ffi/")
add_library(xgrammar STATIC ${XGRAMMAR_SOURCES}
            ${PROJECT_SOURCE_DIR}/runtime/engine/grammar_warnings.cc)
target_include_directories(xgrammar SYSTEM PUBLIC ${XGRAMMAR_SOURCE}/include
                           ${XGRAMMAR_SOURCE}/3rdparty/dlpack/include
                           ${XGRAMMAR_SOURCE}/3rdparty/picojson)
target_include_directories(xgrammar PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_definitions(xgrammar PUBLIC XGRAMMAR_ENABLE_CPPTRACE=0
                                           XGRAMMAR_ENABLE_INTERNAL_CHECK=0
                                           XGRAMMAR_LOG_CUSTOMIZE=1) # grammar_warnings.cc
# Not our code: its warnings are not ours to mend, and no path of this machine goes into it.
target_compile_options(xgrammar PRIVATE -w -ffile-prefix-map=${XGRAMMAR_SOURCE}=xgrammar)
target_link_libraries(xgrammar PUBLIC Threads::Threads)
