# Functions that declare the targets of the tree; every one includes from the root of the source and of the build tree.

# vlmc_library(NAME SOURCE... [LINK LIB...]): a static library of the compiler without MLIR.
function(vlmc_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# vlmc_mlir_library(NAME SOURCE... [LINK LIB...] [DEPENDS TARGET...]): the same with MLIR and its precompiled header.
function(vlmc_mlir_library name)
  cmake_parse_arguments(ARG "" "" "LINK;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC vlmcMlir ${ARG_LINK})
  target_precompile_headers(${name} REUSE_FROM vlmcPch)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# vlmc_gtest(NAME SOURCE... [LINK LIB...] [E2E]): a GoogleTest program; each of its tests is one CTest test, run by `check`, or
# by `check-e2e` where E2E stands.
function(vlmc_gtest name)
  cmake_parse_arguments(ARG "E2E" "" "LINK" ${ARGN})
  set(kind unit)
  if(ARG_E2E)
    set(kind e2e)
  endif()
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE VLMC_SOURCE_DIR="${CMAKE_SOURCE_DIR}" VLMC_BINARY_DIR="${CMAKE_BINARY_DIR}")
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${kind})
  set_property(GLOBAL APPEND PROPERTY VLMC_TEST_TARGETS_${kind} ${name})
endfunction()

# vlmc_use_pch(TARGET): compiles a program with the libraries' precompiled header, which needs their -fPIC in place of -fPIE.
function(vlmc_use_pch name)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM vlmcPch)
endfunction()
