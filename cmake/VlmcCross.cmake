# Programs for AArch64 that tests run under qemu-user: the same compiler with
# another --target, Debian's cross libraries, no second build tree.
find_program(VLMC_QEMU_AARCH64 qemu-aarch64)
set(VLMC_AARCH64_ROOT "/usr/aarch64-linux-gnu")
set(VLMC_AARCH64_TESTS OFF)
if(VLMC_QEMU_AARCH64 AND EXISTS "${VLMC_AARCH64_ROOT}/include/stdio.h" AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang"
    AND EXISTS "${VLMC_AARCH64_ROOT}/lib/libstdc++.so.6")
  set(VLMC_AARCH64_TESTS ON)
elseif(VLMC_TESTS)
  message(STATUS "AArch64 is not tested: qemu-user, libc6-dev-arm64-cross or libstdc++-12-dev-arm64-cross is missing (tools/dev test installs them)")
endif()

# vlmc_aarch64_program(NAME SOURCE...): a program for AArch64 in bin/; only where VLMC_AARCH64_TESTS is on.
function(vlmc_aarch64_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/runtime")
  target_compile_options(${name} PRIVATE --target=aarch64-linux-gnu)
  target_link_options(${name} PRIVATE --target=aarch64-linux-gnu)
  target_compile_definitions(${name} PRIVATE VLMC_VERSION="${PROJECT_VERSION}")
endfunction()

# vlmc_use_aarch64(TEST PROGRAM): tells a test program where the other one and its emulator are.
function(vlmc_use_aarch64 test program)
  add_dependencies(${test} ${program})
  target_compile_definitions(${test} PRIVATE
    VLMC_QEMU_AARCH64="${VLMC_QEMU_AARCH64}"
    VLMC_AARCH64_ROOT="${VLMC_AARCH64_ROOT}"
    VLMC_AARCH64_RUNNER="$<TARGET_FILE:${program}>")
endfunction()
