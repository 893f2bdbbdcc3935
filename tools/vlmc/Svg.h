//===- Svg.h - The beginning of a picture as text ---------------*- C++ -*-===//
//
//   std::string text = svgBegin(760, 460);
//   text += svgText("<text x=\"%.0f\">", x) + svgEscape(name) + "</text>\n";
//   text += "</svg>\n";
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_SVG_H
#define VLMC_TOOLS_VLMC_SVG_H

#include <cstdio>
#include <string>

namespace vlmc::tool {

/// printf into a string; `form` comes from the program and is short.
template <typename... T> std::string svgText(const char *form, T... values) {
  char text[512];
  std::snprintf(text, sizeof text, form, values...);
  return text;
}

/// Any text as it may stand between tags.
inline std::string svgEscape(const std::string &text) {
  std::string result;
  for (char c : text)
    result += c == '<'   ? "&lt;"
              : c == '&' ? "&amp;"
              : c == '"' ? "&quot;"
                         : std::string(1, c);
  return result;
}

/// The opening of a document of that many pixels, white.
inline std::string svgBegin(double width, double height) {
  return svgText("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" "
                 "height=\"%.0f\" font-family=\"sans-serif\" "
                 "font-size=\"12\">\n",
                 width, height) +
         "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
}

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_SVG_H
