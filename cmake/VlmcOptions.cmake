# Language level, warnings, output folders and linker for everything in the tree.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "build type" FORCE)
endif()
add_compile_options(-Wall -Wextra -Wno-unused-parameter)
# Floating-point results must not depend on the compiler's mood: no contraction beyond what the source says.
add_compile_options(-ffp-contract=off)
add_link_options(-fuse-ld=lld)

# Sanitizers take part in everything; presets asan and tsan set this.
set(VLMC_SANITIZE "" CACHE STRING "sanitizers to build with, as -fsanitize= takes them")
if(VLMC_SANITIZE)
  add_compile_options(-fsanitize=${VLMC_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VLMC_SANITIZE})
  if(NOT VLMC_SANITIZE MATCHES "thread")
    # What steers libFuzzer; it costs little where no fuzzer runs.
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
endif()
