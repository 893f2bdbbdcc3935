//===- WriteTables.h - A description laid out as tables -------------------===//
#ifndef VLMC_FRONTEND_TEXT_WRITETABLES_H
#define VLMC_FRONTEND_TEXT_WRITETABLES_H

#include "frontend/text/Description.h"

namespace vlmc::text {

/// The tables of runtime/abi/vlm_text_abi.h. The merges have been checked. The
/// same description gives the same bytes.
std::vector<uint8_t> writeTables(const TokenizerDescription &tokenizer);

} // namespace vlmc::text

#endif // VLMC_FRONTEND_TEXT_WRITETABLES_H
