# pgflow_library, pgflow_test, pgflow_fuzz: the three ways a folder becomes a target.
include(GoogleTest)

set(PGFLOW_SANITIZE "" CACHE STRING "Sanitizers: '', 'address,undefined', 'thread'")
# Warnings for our own code only; third-party headers are SYSTEM.
add_library(pgflow_warnings INTERFACE)
target_compile_options(pgflow_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Wimplicit-fallthrough -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(pgflow_warnings INTERFACE -Wthread-safety)
elseif(PGFLOW_SANITIZE STREQUAL "thread")
  # g++ warns that TSan does not see the fences inside Asio, and takes instrumented code for code
  # that reads what was never written.
  target_compile_options(pgflow_warnings INTERFACE -Wno-tsan -Wno-maybe-uninitialized)
endif()

if(PGFLOW_SANITIZE)
  add_compile_options(-fsanitize=${PGFLOW_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PGFLOW_SANITIZE})
  if(PGFLOW_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # A quarter of the compiler's time. ASan stops at a null pointer, too; alignment is watched
      # where bytes of others are read, by the fuzzers.
      add_compile_options(-fno-sanitize=null,alignment)
    endif()
  endif()
  find_program(MOLD mold)
  if(MOLD)
    add_link_options(-fuse-ld=mold)
  endif()
endif()

option(PGFLOW_FUZZ "Build the fuzz targets (clang only)" OFF)
if(PGFLOW_FUZZ)
  # The libraries too: the fuzzer follows the branches of the code under test, not of its target.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Tests run once: with sanitizers, optimising their own code takes longer than it saves.
set(PGFLOW_TEST_OPTIONS $<$<CONFIG:Debug>:-O0>)

# What nearly every file includes, compiled once: a third of a file's time. The presets for fuzzing
# and clang-tidy build without, and so tell which file forgot to include what it uses.
if(NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # ccache sees which headers those are. g++ 12 forgets that they are the system's, and warns of
    # what it believes to see inside std::string.
    add_compile_options(-fpch-preprocess -Wno-array-bounds -Wno-stringop-overflow -Wno-restrict)
  endif()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cc CONTENT "")
  # NAME [HEADER...]: what targets of the same compiler flags share.
  function(pgflow_precompiled name)
    add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/precompiled.cc)
    target_link_libraries(${name} PRIVATE pgflow_warnings absl::statusor absl::time fmt::fmt)
    target_precompile_headers(
      ${name} PRIVATE
      <algorithm> <functional> <map> <memory> <optional> <set> <span> <stop_token> <string>
      <string_view> <thread> <utility> <vector> <absl/status/statusor.h> <absl/time/clock.h>
      <absl/time/time.h> <fmt/format.h> ${ARGN})
  endfunction()
  pgflow_precompiled(pgflow_precompiled)
  pgflow_precompiled(pgflow_precompiled_test <gmock/gmock.h> <gtest/gtest.h>)
  target_link_libraries(pgflow_precompiled_test PRIVATE GTest::gmock)
  target_compile_options(pgflow_precompiled_test PRIVATE ${PGFLOW_TEST_OPTIONS})
  if(NOT PGFLOW_TESTS)
    set_target_properties(pgflow_precompiled_test PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endif()

# pgflow_library(NAME engine_api SRCS a.cc HDRS a.h DEPS pgflow::base
#                PRIVATE_DEPS PostgreSQL::PostgreSQL APART a.cc)
# DEPS are visible to those who link it, PRIVATE_DEPS are not. APART: files that the preset `test`
# cannot compile together with others of the target, which have local names like theirs.
function(pgflow_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;HDRS;DEPS;PRIVATE_DEPS;APART" ${ARGN})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set(target pgflow_${ARG_NAME})
  if(ARG_SRCS)
    add_library(${target} STATIC ${ARG_SRCS})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE pgflow_warnings ${ARG_PRIVATE_DEPS})
    if(TARGET pgflow_precompiled)
      target_precompile_headers(${target} REUSE_FROM pgflow_precompiled)
    endif()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR})
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}
                                    FILES ${ARG_HDRS})
  target_link_libraries(${target} ${scope} ${ARG_DEPS})
  add_library(pgflow::${ARG_NAME} ALIAS ${target})
endfunction()

# pgflow_test(NAME engine_api_test SRCS a_test.cc DEPS pgflow::engine_api LABEL unit TIMEOUT 60
#             THREADS)
# THREADS: several of them meet in it, so that it runs with TSan, too. APART: as of a library.
function(pgflow_test)
  cmake_parse_arguments(ARG "THREADS" "NAME;LABEL;TIMEOUT" "SRCS;DEPS;APART" ${ARGN})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE pgflow_warnings ${ARG_DEPS} GTest::gmock
                                            GTest::gtest_main)
  target_compile_options(${ARG_NAME} PRIVATE ${PGFLOW_TEST_OPTIONS})
  if(TARGET pgflow_precompiled_test)
    target_precompile_headers(${ARG_NAME} REUSE_FROM pgflow_precompiled_test)
  endif()
  if(NOT PGFLOW_TESTS)
    set_target_properties(${ARG_NAME} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  if(ARG_THREADS)
    list(APPEND ARG_LABEL threads)
  endif()
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME})
  # Those that may take long begin first: none of them is left alone at the end.
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
                                              COST ${ARG_TIMEOUT})
  if(PGFLOW_SANITIZE STREQUAL "thread")
    set_property(TEST ${ARG_NAME} APPEND PROPERTY ENVIRONMENT
                 "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp")
  endif()
endfunction()

# pgflow_fuzz(NAME pgoutput_fuzz SRCS x_fuzz.cc DEPS pgflow::postgres_wire): a libFuzzer target.
function(pgflow_fuzz)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  if(NOT PGFLOW_FUZZ)
    return()
  endif()
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_compile_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
  target_link_options(${ARG_NAME} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${ARG_NAME} PRIVATE pgflow_warnings ${ARG_DEPS})
  add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} -max_total_time=60 -print_final_stats=1)
  set_tests_properties(${ARG_NAME} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
