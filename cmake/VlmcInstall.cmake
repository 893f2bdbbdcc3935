# Debian packages by CPack: `vlmc-runtime` holds what programs that run models need, `vlmc` the compiler.
# What else is installed stands beside the targets; all of it is found relatively, so the tree may be moved.
include(GNUInstallDirs)
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT runtime)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "the vlmc developers <vlmc@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "ahead-of-time compiler for vision-language models")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL runtime)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# libHalide alone takes a minute with xz.
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME vlmc-runtime)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Libraries and headers of programs that run models compiled by vlmc")
# For find_package(vlmc) with VLMC_STATIC_RUNTIME.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS "libgif-dev, libjpeg62-turbo-dev, libpng-dev, libpcre2-dev, libwebp-dev")
if(VLMC_COMPILER)
  list(APPEND CPACK_COMPONENTS_ALL compiler)
  set(CPACK_DEBIAN_COMPILER_PACKAGE_NAME vlmc)
  set(CPACK_DEBIAN_COMPILER_PACKAGE_SECTION devel)
  set(CPACK_COMPONENT_COMPILER_DESCRIPTION "The compiler: vlmc, with the Halide that its picture pipelines are made with")
  # dpkg-shlibdeps finds libLLVM by a link that is in no package.
  set(CPACK_DEBIAN_COMPILER_PACKAGE_DEPENDS "vlmc-runtime (= ${PROJECT_VERSION}), libllvm22")
  # The runtime's and Halide's libraries are in these packages, not in others.
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${CMAKE_BINARY_DIR}/lib" "${VLMC_HALIDE_ROOT}/lib64")
endif()
include(CPack)
