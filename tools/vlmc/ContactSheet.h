//===- ContactSheet.h - Pictures found, on a page ---------------*- C++ -*-===//
//
// The pictures that a search has found, as a page for a browser or as one
// picture, the best first, row by row.
//
//   std::vector<SheetPicture> pictures = {{"photos/cat.jpg", "cat.jpg", 0.31}};
//   std::string page = sheetPage("a cat", pictures, "out/sheet.html");
//   Outcome<std::vector<uint8_t>> png = sheetPng(pictures);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_CONTACTSHEET_H
#define VLMC_TOOLS_VLMC_CONTACTSHEET_H

#include "tools/vlmc/Report.h"

#include <cstdint>
#include <vector>

namespace vlmc::tool {

struct SheetPicture {
  std::string path, name;
  double score;
};

/// An HTML page that shows the files themselves, which it names relative to
/// `place`, the page's own path.
std::string sheetPage(const std::string &title,
                      const std::vector<SheetPicture> &pictures,
                      const std::string &place);

/// A PNG file: each picture fitted into a square of the same size.
/// Errors: those of decoding.
Outcome<std::vector<uint8_t>>
sheetPng(const std::vector<SheetPicture> &pictures);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_CONTACTSHEET_H
