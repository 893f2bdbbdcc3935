//===-- HostSymbols.h - functions that host code may need -----------------===//
//
// Conversions that processors without instructions for 16-bit floats call, and
// that not every C library has.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_HOSTSYMBOLS_H
#define VLMC_TEST_EMULATOR_HOSTSYMBOLS_H

#include "test/emulator/Half.h"
#include <span>
#include <utility>

namespace vlmc::emulator {

/// Names and addresses.
std::span<const std::pair<const char *, void *>> hostSymbols();

} // namespace vlmc::emulator

#endif // VLMC_TEST_EMULATOR_HOSTSYMBOLS_H
