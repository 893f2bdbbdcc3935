# The targets that run tests: `check` all but the numeric end-to-end ones, `check-e2e` those. Included last, when all tests are known.
get_property(unit_targets GLOBAL PROPERTY VLMC_TEST_TARGETS_unit)
get_property(e2e_targets GLOBAL PROPERTY VLMC_TEST_TARGETS_e2e)
cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
set(run_ctest "${CMAKE_CTEST_COMMAND}" --output-on-failure --no-tests=error --parallel ${cores})

add_custom_target(check-unit
  COMMAND ${run_ctest} --label-exclude e2e
  DEPENDS ${unit_targets}
  WORKING_DIRECTORY "${CMAKE_BINARY_DIR}"
  USES_TERMINAL
  VERBATIM
  COMMENT "running unit and lint tests")
add_custom_target(check-e2e
  COMMAND ${run_ctest} --label-regex e2e
  DEPENDS ${e2e_targets}
  WORKING_DIRECTORY "${CMAKE_BINARY_DIR}"
  USES_TERMINAL
  VERBATIM
  COMMENT "running end-to-end tests")
add_custom_target(check DEPENDS check-unit)
if(TARGET check-lit)
  add_dependencies(check check-lit)
endif()
